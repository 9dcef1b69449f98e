"""Components of parity: by an optimiser, by strings with equal weights, and a wrong bound."""

import itertools

import pytest
import torch

from theory.claim import Record
from theory.mixtures import parity_components
from theory.mixtures.parity_components import least_distance, parity_law


@pytest.mark.parametrize("num_dims", [1, 2, 3, 5])
def test_parity_is_uniform_on_the_even_strings(num_dims):
    law = parity_law(num_dims)
    signs = torch.ones(1, dtype=torch.float64)
    for _ in range(num_dims):  # by its characters: (1 + chi) / 2^D
        signs = torch.kron(signs, torch.tensor([1.0, -1.0], dtype=torch.float64))
    torch.testing.assert_close(law, (1 + signs) / 2**num_dims)


@pytest.mark.parametrize(("num_dims", "count"), [(3, 1), (3, 3), (4, 5), (4, 8)])
def test_strings_with_equal_weights_have_three_times_the_bound(num_dims, count):
    even = [x for x in itertools.product((0, 1), repeat=num_dims) if sum(x) % 2 == 0][:count]
    law = torch.zeros((2,) * num_dims, dtype=torch.float64)
    for x in even:
        law[x] = 1 / count
    miss = float((law.flatten() - parity_law(num_dims)).abs().sum() / 2)
    assert miss == pytest.approx(3 * least_distance(num_dims, count), abs=1e-15)


@pytest.mark.parametrize(("num_dims", "count"), [(3, 2), (4, 3)])
def test_gradient_descent_stays_above_the_bound(num_dims, count):
    """Mixtures that are fitted to parity, from five starts."""
    generator, target, best = torch.Generator().manual_seed(0), parity_law(num_dims), 1.0
    for _ in range(5):
        logits = 2 * torch.randn(count, num_dims, dtype=torch.float64, generator=generator)
        for _ in range(60):
            logits.requires_grad_()
            rows = torch.stack([(-logits).sigmoid(), logits.sigmoid()], -1)
            parts = rows[:, 0]
            for d in range(1, num_dims):
                parts = (parts[:, :, None] * rows[:, d, None]).flatten(1)
            miss = (parts.mean(0) - target).abs().sum() / 2
            best = min(best, miss.item())
            (slope,) = torch.autograd.grad(miss, logits)
            logits = (logits - 2 * slope).detach()
    assert least_distance(num_dims, count) < best < 1


def test_a_larger_bound_fails(monkeypatch):
    monkeypatch.setattr(
        parity_components, "least_distance", lambda *args: 3.2 * least_distance(*args)
    )
    record = Record()
    parity_components.verify_parity(record)
    assert record.failures
