"""Discrete diffusion distillation through dimensional correlations (Di4C), exactly and at scale."""

__version__ = "0.1.0"
