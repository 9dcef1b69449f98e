"""Theorem 1, lower bound: N product steps err by at least c/N, for every dependent law."""
