"""Experiments on laws small enough to enumerate, so that the truth is known exactly."""
