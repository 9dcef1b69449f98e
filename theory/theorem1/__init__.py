"""Lemma 1 and Theorem 1: product steps err by O(1/N) in total variation, and no less."""
