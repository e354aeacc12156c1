"""Measured claims: each row runs ours and a stated peer in one process and prints the ratio."""
