"""Unmasking in several steps: which positions, how many at once, and what it costs."""
