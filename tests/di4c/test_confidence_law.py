"""The confidence sampler against its law, enumerated on tiny spaces."""

import functools
import itertools
import math
from collections import defaultdict

import pytest
import torch
from torch import Tensor

from di4c.confidence import confidence_sampling
from di4c.denoisers import TableDenoiser
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.maskgit_schedule import reveal_counts
from di4c.processes import MaskedProcess
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value

NUM_SAMPLES = 100_000
WEIGHTS = torch.tensor([0.35, 0.65], dtype=torch.float64)
DIMS, VALUES = 3, 2
PROCESS = MaskedProcess(VALUES)


def _table(seed: int, width: int = VALUES, spread: float = 1.0) -> TableDenoiser:
    """A random denoiser whose two latents prefer different values; confidences have no ties."""
    shape = (2, (VALUES + 1) ** DIMS, DIMS, width)
    logits = spread * torch.randn(shape, generator=generator(seed), dtype=torch.float64)
    logits[0, ..., 0] += 1.5
    logits[1, ..., 1] += 1.5
    return TableDenoiser(logits.log_softmax(-1), VALUES + 1)


def _rows(table: TableDenoiser, latent: int, x: tuple[int, ...]) -> list[list[float]]:
    index = int(sum(v * (VALUES + 1) ** (DIMS - 1 - d) for d, v in enumerate(x)))
    return table.log_probs[latent, index].tolist()


def _normalised(logits: list[float]) -> list[float]:
    total = math.log(sum(math.exp(z) for z in logits))
    return [z - total for z in logits]


def _reveal_probabilities(scores: dict[int, float], count: int, scale: float):
    """The sets of positions with the largest scores plus scale times Gumbel, and their chances.

    Without noise it is the set of the best scores. With noise it is the set of the first `count`
    places of the Plackett-Luce law with weights exp(score / scale).
    """
    if count >= len(scores):
        yield frozenset(scores), 1.0
        return
    if scale == 0:
        yield frozenset(sorted(scores, key=lambda d: -scores[d])[:count]), 1.0
        return
    weights = {d: math.exp(score / scale) for d, score in scores.items()}
    chances: dict[frozenset, float] = defaultdict(float)
    for order in itertools.permutations(weights, count):
        p, left = 1.0, sum(weights.values())
        for d in order:
            p *= weights[d] / left
            left -= weights[d]
        chances[frozenset(order)] += p
    yield from chances.items()


def _law(cond, uncond, counts, guidance, temperature, width=VALUES) -> Tensor:
    """The law of the finished samples: a sum over latents, predictions and choices, by steps."""
    n = len(counts)
    everything = (tuple([VALUES] * DIMS), frozenset(range(DIMS)))
    law = {everything: 1.0}
    for i, count in enumerate(counts):
        share = i / (n - 1) if n > 1 else 1.0
        w, scale = guidance * share, temperature * (1 - share)
        image: dict = defaultdict(float)
        for (x, masked), mass in law.items():
            if not masked:
                image[x, masked] += mass
                continue
            for latent, weight in enumerate(WEIGHTS.tolist()):
                rows = _rows(cond, latent, x)
                if w:
                    pairs = zip(rows, _rows(uncond, latent, x), strict=True)
                    rows = [
                        _normalised([(1 + w) * a - w * b for a, b in zip(c, u, strict=True)])
                        for c, u in pairs
                    ]
                where = sorted(masked)
                for guess in itertools.product(range(width), repeat=len(where)):
                    value = dict(zip(where, guess, strict=True))
                    chance = math.exp(sum(rows[d][value[d]] for d in where))
                    scores = {d: rows[d][value[d]] for d in where}
                    for chosen, p in _reveal_probabilities(scores, max(count, 0), scale):
                        y = tuple(value[d] if d in chosen else v for d, v in enumerate(x))
                        image[y, masked - chosen] += mass * weight * chance * p
        law = image
    result = torch.zeros((VALUES,) * DIMS, dtype=torch.float64)
    for (x, masked), mass in law.items():
        assert not masked
        result[tuple(min(v, VALUES - 1) for v in x)] += mass
    return result.flatten()


def _run(cond, num_steps, *, uncond=None, seed=0, **options) -> Tensor:
    start = torch.full((NUM_SAMPLES, DIMS), VALUES)
    return confidence_sampling(
        PROCESS,
        cond,
        start,
        num_steps,
        unconditional=uncond,
        latent=LatentPolicy(law=FiniteLatent(torch.arange(2), WEIGHTS)),
        generator=generator(seed),
        **options,
    ).samples


OPTIONS = {
    "greedy, two steps": {"num_steps": 2, "temperature": 0.0},
    "noisy, two steps": {"num_steps": 2, "temperature": 4.5},
    "noisy, three steps, linear": {"num_steps": 3, "temperature": 1.0, "schedule": "linear"},
    "guided": {"num_steps": 3, "temperature": 1.5, "guidance": 2.0, "schedule": "linear"},
    "one step, guided": {"num_steps": 1, "temperature": 4.5, "guidance": 1.0},
    "more steps than tokens": {"num_steps": 5, "temperature": 1.0, "schedule": "square"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_samples_have_the_enumerated_law(name):
    options = {"guidance": 0.0, "schedule": "arccos"} | OPTIONS[name]
    cond, uncond = _table(1), _table(2)
    samples = _run(cond, uncond=uncond, **options)
    counts = reveal_counts(DIMS, options["num_steps"], options["schedule"]).tolist()
    law = _law(cond, uncond, counts, options["guidance"], options["temperature"])
    assert float(law.sum()) == pytest.approx(1, abs=1e-12)
    assert p_value(samples, law, VALUES) > P_VALUE


def test_a_denoiser_may_draw_the_mask_itself():
    width = VALUES + 1
    cond = _table(3, width)
    samples = _run(cond, 2, temperature=1.0)
    law = _law(cond, None, reveal_counts(DIMS, 2).tolist(), 0.0, 1.0, width)
    assert p_value(samples, law, VALUES) > P_VALUE


class _LatentPerDimension:
    """A wrong denoiser: each dimension draws its own latent."""

    def __init__(self, table: TableDenoiser) -> None:
        self.table, self.source = table, generator(9)

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        own = WEIGHTS.multinomial(x_t.numel(), replacement=True, generator=self.source)
        each = [self.table(x_t, t, k)[:, d] for d, k in enumerate(own.view(DIMS, -1))]
        return torch.stack(each, 1)


class _OwnLatent:
    """A wrong denoiser: the unconditional branch draws its own latent."""

    def __init__(self, table: TableDenoiser) -> None:
        self.table, self.source = table, generator(9)

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        own = WEIGHTS.multinomial(len(x_t), replacement=True, generator=self.source)
        return self.table(x_t, t, own)


UNEVEN = {"num_steps": 2, "temperature": 1.0, "guidance": 2.0, "schedule": "square"}


def _uneven() -> tuple[TableDenoiser, TableDenoiser]:
    """Two denoisers of a large spread: positions are unevenly certain, so their order matters."""
    return _table(1, spread=2.0), _table(2, spread=2.0)


@functools.cache
def _uneven_law() -> Tensor:
    return _law(*_uneven(), reveal_counts(DIMS, 2, "square").tolist(), 2.0, 1.0)


WRONG = {
    "a latent for each dimension": lambda c, u: (_LatentPerDimension(c), u, {}),
    "a latent for each branch": lambda c, u: (c, _OwnLatent(u), {}),
    "noise of another temperature": lambda c, u: (c, u, {"temperature": 3.0}),
    "guidance of another weight": lambda c, u: (c, u, {"guidance": 1.7}),
    "another schedule": lambda c, u: (c, u, {"schedule": "root"}),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_samplers_are_rejected(mistake):
    cond, uncond, changes = WRONG[mistake](*_uneven())
    samples = _run(cond, uncond=uncond, **(UNEVEN | changes))
    assert p_value(samples, _uneven_law(), VALUES) < P_VALUE


def test_the_right_sampler_passes_the_same_test():
    cond, uncond = _uneven()
    assert p_value(_run(cond, uncond=uncond, **UNEVEN), _uneven_law(), VALUES) > P_VALUE
