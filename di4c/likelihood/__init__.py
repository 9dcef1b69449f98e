"""Mixtures of product distributions, and the likelihood statistics that the losses read."""

from di4c.likelihood.head import HeadMixture, PrefetchedMixture
from di4c.likelihood.logits import FunctionHead, Head, LinearHead, LogitsTransform
from di4c.likelihood.mixture import DenseMixture, Mixture, log_joint, log_product

__all__ = [
    "DenseMixture",
    "FunctionHead",
    "Head",
    "HeadMixture",
    "LinearHead",
    "LogitsTransform",
    "Mixture",
    "PrefetchedMixture",
    "log_joint",
    "log_product",
]
