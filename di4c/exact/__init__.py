"""The exact engine. Every law is a vector of probabilities of all S^D states, in float64."""

from di4c.exact.closed_forms import parity_tv, repetition_tv
from di4c.exact.composition import mixture_composition, product_composition, product_step
from di4c.exact.defect import one_step_defect
from di4c.exact.forward import forward_law, posterior_marginals, push_forward
from di4c.exact.kernels import forward_kernel, product_kernel, reverse_kernel
from di4c.exact.laws import (
    entropy,
    kl,
    marginals,
    product_law,
    states,
    total_correlation,
    total_variation,
)
from di4c.exact.limits import limit_direction, limit_n_tv
from di4c.exact.quadrature import mixture_quadrature

__all__ = [
    "entropy",
    "forward_kernel",
    "forward_law",
    "kl",
    "limit_direction",
    "limit_n_tv",
    "marginals",
    "mixture_composition",
    "mixture_quadrature",
    "one_step_defect",
    "parity_tv",
    "posterior_marginals",
    "product_composition",
    "product_kernel",
    "product_law",
    "product_step",
    "push_forward",
    "repetition_tv",
    "reverse_kernel",
    "states",
    "total_correlation",
    "total_variation",
]
