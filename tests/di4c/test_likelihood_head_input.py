"""What a HeadMixture refuses: the message names the argument, the value and the remedy."""

import math

import pytest
import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import FunctionHead, HeadMixture, LinearHead, LogitsTransform
from tests.helpers.refusals import assert_refused


def _mixture(**changes):
    """A small mixture with one argument changed."""
    arguments = {
        "hidden": torch.ones(2, 3, 4, 2),
        "head": LinearHead(torch.ones(5, 2), torch.zeros(5)),
        "log_weights": uniform_log_weights(3),
    } | changes
    return HeadMixture(**arguments)


def _spoilt(shape, index, value=math.nan):
    tensor = torch.ones(shape)
    tensor[index] = value
    return tensor


X = torch.zeros(2, 1, 4, dtype=torch.long)
BAD = {
    "nan features": (
        lambda: _mixture(hidden=_spoilt((2, 3, 4, 2), (1, 0, 2, 1))).gather(X),
        r"hidden is nan at index \[1, 0, 2, 1\]: look for an overflow",
    ),
    "nan logits": (
        lambda: _mixture(head=LinearHead(_spoilt((5, 2), (3, 1)))).gather(X),
        r"logits is nan at index \[0, 0, 0, 3\]: look for an overflow in the weights of the head",
    ),
    "infinite logits": (
        lambda: _mixture(head=LinearHead(_spoilt((5, 2), (4, 0), math.inf))).gather(X),
        r"logits is inf at index \[0, 0, 0, 4\]",
    ),
    "no state left": (
        lambda: _mixture(head=LinearHead(torch.full((5, 2), -math.inf))).gather(X),
        r"logits are -inf for every state at index \[0, 0, 0\]: leave at least one state",
    ),
    "all states excluded": (
        lambda: _mixture(transform=LogitsTransform(excluded_states=tuple(range(5)))),
        "excluded_states must leave at least one of the 5 states",
    ),
    "marginals of nan features": (
        lambda: _mixture(hidden=_spoilt((2, 3, 4, 2), (1, 0, 2, 1))).log_marginals(),
        r"hidden is nan at index \[1, 0, 2, 1\]: look for an overflow",
    ),
    "marginals of infinite logits": (
        lambda: _mixture(head=LinearHead(_spoilt((5, 2), (4, 0), math.inf))).log_marginals(),
        r"logits is inf at index \[0, 0, 0, 4\]",
    ),
    "no latent": (
        lambda: _mixture(hidden=torch.ones(2, 0, 4, 2), log_weights=torch.zeros(0)),
        r"hidden must have shape \(batch, latent, dim, feature\).*got \(2, 0, 4, 2\)",
    ),
    "weights": (
        lambda: _mixture(log_weights=torch.zeros(3)),
        r"exp\(log_weights\) must .*sum is 3",
    ),
    "weights to be learnt": (
        lambda: _mixture(log_weights=uniform_log_weights(3).requires_grad_()),
        "log_weights requires a gradient.*detach it",
    ),
    "head of another width": (
        lambda: _mixture(head=LinearHead(torch.ones(5, 3))),
        r"weight must have shape \(state, feature\) = \(any, 2\) like hidden; got \(5, 3\)",
    ),
    "head with an axis too many": (
        lambda: _mixture(head=LinearHead(torch.ones(5, 2, 1))),
        r"like hidden; got \(5, 2, 1\)",
    ),
    "bias of another length": (
        lambda: _mixture(head=LinearHead(torch.ones(5, 2), torch.ones(4))),
        r"bias must have shape \(state\) = \(5\); got \(4,\)",
    ),
    "function of another S": (
        lambda: _mixture(head=FunctionHead(lambda rows: rows, 5)).gather(X),
        r"logits of the head's function must have shape \(row, state\) = \(24, 5\); got \(24, 2\)",
    ),
    "chunks": (lambda: _mixture(positions_per_chunk=0), "positions_per_chunk must be at least 1"),
    "given state": (
        lambda: _mixture(transform=LogitsTransform(given=torch.full((2, 4), 5))),
        r"given must be states in 0..4; got 5 at index \[0, 0\]: mark unknown coordinates by -1",
    ),
    "atoms": (
        lambda: _mixture().gather(X + 5),
        r"atoms must be states in 0..4; got 5 at index \[0, 0, 0\]",
    ),
    "target of another S": (
        lambda: _mixture().marginal_kl(torch.zeros(2, 4, 6)),
        r"log_target must have shape \(batch, dim, state\) = \(2, 4, 5\); got \(2, 4, 6\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_argument_value_and_remedy(name, as_installed):
    assert_refused(*BAD[name])


def test_checks_of_values_can_be_switched_off():
    mixture = _mixture(hidden=torch.full((2, 3, 4, 2), math.nan), validate=False)
    assert mixture.gather(X).isnan().all()
