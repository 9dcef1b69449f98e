"""Theorem 1, upper bound: N product steps err by O(1/N), with explicit constants."""
