"""Benchmarks: each row runs this package and a reference implementation and prints the ratio."""
