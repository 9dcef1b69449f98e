"""The network of the trained methods: what it keeps by construction, and its sizes."""

import math

import pytest
import torch

from di4c.exact import (
    states,
)
from di4c.latents import FiniteLatent
from tests.helpers.toy_cases import PROCESSES, random_law, setting_of
from toys.students.jump_training import LATENTS
from toys.students.network import latent_encoder
from toys.students.student import latent_grid
from toys.students.training import make_network


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("latent", [None, *LATENTS])
def test_network_keeps_what_is_known(process, latent):
    setting = setting_of(random_law(27, 9), 3, 3, process)
    law = None if latent is None else LATENTS[latent](3, 8)
    network = make_network(setting, law)
    x_t = states(3, setting.process.num_states)
    latents = None if law is None else latent_grid(law, 8)[torch.arange(len(x_t)) % 8]
    early = torch.full((len(x_t),), 1e-9, dtype=torch.float64)
    late = torch.full((len(x_t),), 0.7, dtype=torch.float64)
    for t in (early, late):
        probs = network.denoiser(x_t, t, latents).exp()
        torch.testing.assert_close(probs.sum(-1), torch.ones(len(x_t), 3))
        known = x_t < 3 if process == "masked" else (t < 0.1)[:, None].expand(-1, 3)
        own = probs.gather(-1, x_t.clamp_max(2)[..., None])[..., 0]
        torch.testing.assert_close(own[known], torch.ones(int(known.sum())))
    # At the horizon all noisy states that can occur look the same to the network.
    start = torch.full((4, 3), 3) if process == "masked" else x_t[:4]
    same = None if latents is None else latents[:1].expand(4, *latents.shape[1:])
    probs = network.denoiser(start, torch.ones(4, dtype=torch.float64), same)
    torch.testing.assert_close(probs, probs[:1].expand_as(probs))


@pytest.mark.parametrize("latent", LATENTS)
def test_shared_states_and_latents_are_only_faster(latent):
    setting = setting_of(random_law(8, 10), 2, 3)
    law = LATENTS[latent](3, 8)
    network = make_network(setting, law)
    x_t, t = torch.tensor([[2, 2, 2], [0, 2, 1]]), torch.tensor([1.0, 0.4])
    latents = latent_grid(law, 8)
    shared = network(x_t[:, None].expand(-1, 8, -1), t, latents.expand(2, *latents.shape))
    apart = network(x_t[:, None].repeat(1, 8, 1), t, latents.repeat(2, *[1] * latents.ndim))
    torch.testing.assert_close(shared.log_probs, apart.log_probs)
    row = network.denoiser(x_t[1:].expand(8, -1), t[1:].expand(8), latents)
    torch.testing.assert_close(shared.log_probs[1], row)
    assert float(shared.log_probs.detach()[0].exp().std(0).max()) > 1e-3, "the latent is ignored"


def test_latents_without_an_encoder_are_an_error():
    with pytest.raises(ValueError, match="latent must be categories"):
        latent_encoder(object(), 4)


def test_sizes_of_the_network_are_those_of_the_task():
    setting = setting_of(random_law(27, 21), 3, 3)
    network = make_network(setting, FiniteLatent(torch.arange(7)))
    width = 128
    expected = (9 * width + width) + (width * width + width) + 7 * 2 * width + (width * 9 + 9)
    assert network.num_parameters == expected
    assert math.isclose(
        float(network.head.weight.detach().std()), 3 / math.sqrt(3 * width), rel_tol=0.1
    )
