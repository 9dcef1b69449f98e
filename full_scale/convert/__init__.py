"""Turns published checkpoints into model files, without executing anything that they hold."""
