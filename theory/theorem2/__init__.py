"""Theorem 2: the losses bound the distance between teacher and student."""
