"""Lemma 1 and Theorem 1: the error of product steps is of order 1/N in total variation."""
