"""Lemma 1: one product step has an error of order eps^2, and the constants of this order."""
