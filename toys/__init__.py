"""Runnable experiments on laws small enough to enumerate: the truth is known exactly."""
