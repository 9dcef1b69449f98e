"""The control variate of Di4C: what it leaves unchanged, and where it does harm."""
