"""What a DenseMixture refuses: the message names the argument, the value and the remedy."""

import math

import pytest
import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, LogitsTransform
from tests.helpers.random_losses import RandomLosses
from tests.helpers.refusals import assert_refused

EXAMPLE = RandomLosses(3, 2, 3, 4, 5, 1)
MIXTURE, TARGET = EXAMPLE.student, EXAMPLE.log_teacher


def _spoilt(mixture, value, index):
    log_probs = mixture.log_probs.clone()
    log_probs[index] = value
    return lambda: DenseMixture(log_probs, mixture.log_weights)


BAD = {
    "logits": (
        lambda: DenseMixture(MIXTURE.log_probs + 1, MIXTURE.log_weights),
        r"log_probs must be .*\[0, 0, 0\] sum to 2.71828: apply log_softmax",
    ),
    "nan": (_spoilt(MIXTURE, math.nan, (1, 2, 3, 0)), r"log_probs is nan at index \[1, 2, 3, 0\]"),
    "one bad row": (_spoilt(MIXTURE, 0.0, (0, 1, 2, 0)), r"index \[0, 1, 2\] sum to"),
    "no latent": (
        lambda: DenseMixture(torch.zeros(2, 0, 4, 5), torch.zeros(0)),
        r"log_probs must have shape \(batch, latent, dim, state\).*got \(2, 0, 4, 5\)",
    ),
    "other latents": (
        lambda: DenseMixture(MIXTURE.log_probs, uniform_log_weights(2)),
        r"log_weights must have shape \(latent\) = \(3\); got \(2,\)",
    ),
    "weights": (
        lambda: DenseMixture(MIXTURE.log_probs, torch.zeros(3)),
        r"exp\(log_weights\) must be non-negative and sum to 1; the sum is 3.* apply log_softmax",
    ),
    "atom too large": (
        lambda: MIXTURE.gather(torch.full((2, 1, 4), 5)),
        r"atoms must be states in 0..4; got 5 at index \[0, 0, 0\]",
    ),
    "atom negative": (
        lambda: MIXTURE.gather(torch.tensor([[[0, 0, -100, 0]]] * 2)),
        r"atoms must be states in 0..4; got -100 at index \[0, 0, 2\].*ignored",
    ),
    "atoms of another batch": (
        lambda: MIXTURE.gather(torch.zeros(3, 1, 4, dtype=torch.long)),
        r"atoms must have shape \(batch, atom, dim\) = \(2, any, 4\); got \(3, 1, 4\)",
    ),
    "no atom": (
        lambda: MIXTURE.gather(torch.zeros(2, 0, 4, dtype=torch.long)),
        r"atoms must have shape .*got \(2, 0, 4\)",
    ),
    "target of another S": (
        lambda: MIXTURE.marginal_kl(TARGET[..., :4]),
        r"log_target must have shape \(batch, dim, state\) = \(2, 4, 5\); got \(2, 4, 4\)",
    ),
    "target of another D": (
        lambda: MIXTURE.mean_latent_kl(TARGET[:, :3]),
        r"log_target must have shape .*got \(2, 3, 5\)",
    ),
    "soft cap": (lambda: LogitsTransform(soft_cap=0.0), r"soft_cap must lie in .*; got 0.0"),
    "a cap below 0": (lambda: LogitsTransform(soft_cap=-1.0), r"soft_cap .*; got -1.0: use None"),
    "an infinite cap": (lambda: LogitsTransform(soft_cap=math.inf), "soft_cap must .*; got inf"),
    "excluded truth": (lambda: LogitsTransform(excluded_states=(True,)), "excluded_states .* True"),
    "excluded half": (
        lambda: LogitsTransform(excluded_states=(1.5,)),
        "excluded_states .* got 1.5",
    ),
    "all excluded": (
        lambda: LogitsTransform(excluded_states=(0, 1)).log_probs(MIXTURE.log_probs[..., :2]),
        "excluded_states must leave at least one of the 2 states",
    ),
    "logits without latents": (
        lambda: DenseMixture.from_logits(torch.zeros(2, 3, 2), torch.zeros(3)),
        r"logits must have shape \(batch, latent, dim, state\).*got \(2, 3, 2\)",
    ),
    "whole logits": (
        lambda: DenseMixture.from_logits(torch.zeros(2, 3, 2, 2).long(), torch.zeros(3)),
        "logits must have a float type; got torch.int64",
    ),
    "excluded twice": (
        lambda: LogitsTransform(excluded_states=(1, 1)),
        r"excluded_states must be distinct; got \(1, 1\)",
    ),
    "excluded state": (
        lambda: LogitsTransform(excluded_states=(5,)).log_probs(MIXTURE.log_probs),
        r"excluded_states must be in 0..4; got 5",
    ),
    "given of another shape": (
        lambda: LogitsTransform(given=TARGET[0].argmax(-1)[None]).log_probs(MIXTURE.log_probs),
        r"given must have shape \(batch, dim\) = \(2, 4\); got \(1, 4\)",
    ),
    "no uniform law": (lambda: uniform_log_weights(0), "num_latents must be at least 1; got 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_with_argument_value_and_remedy(name, as_installed):
    assert_refused(*BAD[name])


def test_checks_of_values_can_be_switched_off():
    mixture = DenseMixture(MIXTURE.log_probs + 1, MIXTURE.log_weights, validate=False)
    assert mixture.marginal_kl(TARGET).isfinite().all()
