"""Findings with a place of their own (being written)."""
