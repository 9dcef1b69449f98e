"""The confidence sampler against a literal enumeration of its law on tiny spaces."""

import itertools
import math
from collections import defaultdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from di4c.confidence import confidence_sampling, confidence_step, guided_logits, teacher_step
from di4c.denoisers import TableDenoiser
from di4c.latents import FiniteLatent, LatentPolicy
from di4c.maskgit_schedule import MASK_RATIOS, mask_ratio, mask_tokens, ramp, reveal_counts
from di4c.processes import MaskedProcess
from di4c.rng import SampleGenerators
from di4c.schedules import ArccosSchedule, LinearSchedule
from tests.helpers.goodness_of_fit import P_VALUE, generator, p_value

NUM_SAMPLES = 100_000
WEIGHTS = torch.tensor([0.35, 0.65], dtype=torch.float64)
DIMS, VALUES = 3, 2
PROCESS = MaskedProcess(VALUES)


def _table(seed: int, width: int = VALUES, spread: float = 1.0) -> TableDenoiser:
    """Two latents that disagree; generic, so that confidences have no ties."""
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
    """Which positions have the top scores plus scale times Gumbel: (set, probability) pairs.

    Without noise the best ones; with it the first `count` places of the Plackett-Luce law, whose
    weights are exp(score / scale).
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
    """The law of the finished samples, one step, latent, prediction and choice at a time."""
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


CASES = {
    "greedy, two steps": {"num_steps": 2, "temperature": 0.0},
    "noisy, two steps": {"num_steps": 2, "temperature": 4.5},
    "noisy, three steps, linear": {"num_steps": 3, "temperature": 1.0, "schedule": "linear"},
    "guided": {"num_steps": 3, "temperature": 1.5, "guidance": 2.0, "schedule": "linear"},
    "one step, guided": {"num_steps": 1, "temperature": 4.5, "guidance": 1.0},
    "more steps than tokens": {"num_steps": 5, "temperature": 1.0, "schedule": "square"},
}


@pytest.mark.parametrize("case", CASES)
def test_samples_have_the_enumerated_law(case):
    options = {"guidance": 0.0, "schedule": "arccos"} | CASES[case]
    cond, uncond = _table(1), _table(2)
    samples = _run(cond, uncond=uncond, **options)
    counts = reveal_counts(DIMS, options["num_steps"], options["schedule"]).tolist()
    law = _law(cond, uncond, counts, options["guidance"], options["temperature"])
    assert float(law.sum()) == pytest.approx(1, abs=1e-12)
    assert p_value(samples, law, VALUES) > P_VALUE


def test_a_drawn_mask_keeps_its_position_masked_and_ends_as_the_last_value():
    width = VALUES + 1
    cond = _table(3, width)
    samples = _run(cond, 2, temperature=1.0)
    law = _law(cond, None, reveal_counts(DIMS, 2).tolist(), 0.0, 1.0, width)
    assert p_value(samples, law, VALUES) > P_VALUE


class _LatentPerDimension:
    """The mistake to be caught: each dimension draws a latent of its own."""

    def __init__(self, table: TableDenoiser) -> None:
        self.table, self.source = table, generator(9)

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        own = WEIGHTS.multinomial(x_t.numel(), replacement=True, generator=self.source)
        each = [self.table(x_t, t, k)[:, d] for d, k in enumerate(own.view(DIMS, -1))]
        return torch.stack(each, 1)


class _OwnLatent:
    """Another one: the unconditional branch draws its own latent."""

    def __init__(self, table: TableDenoiser) -> None:
        self.table, self.source = table, generator(9)

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
        own = WEIGHTS.multinomial(len(x_t), replacement=True, generator=self.source)
        return self.table(x_t, t, own)


WRONG = {
    "the latent of a dimension": lambda c, u: (_LatentPerDimension(c), u, {}),
    "the latent of a branch": lambda c, u: (c, _OwnLatent(u), {}),
    "noise that does not decay to the right level": lambda c, u: (c, u, {"temperature": 3.0}),
    "guidance of another weight": lambda c, u: (c, u, {"guidance": 1.7}),
    "another schedule": lambda c, u: (c, u, {"schedule": "root"}),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_samplers_are_rejected(mistake):
    options = {"num_steps": 2, "temperature": 1.0, "guidance": 2.0, "schedule": "square"}
    # Uneven certainty over positions: the order of revelation then matters.
    cond, uncond = _table(1, spread=2.0), _table(2, spread=2.0)
    counts = reveal_counts(DIMS, 2, "square").tolist()
    law = _law(cond, uncond, counts, 2.0, 1.0)
    assert p_value(_run(cond, uncond=uncond, **options), law, VALUES) > P_VALUE
    wrong_cond, wrong_uncond, changes = WRONG[mistake](cond, uncond)
    samples = _run(wrong_cond, uncond=wrong_uncond, **(options | changes))
    assert p_value(samples, law, VALUES) < P_VALUE


@given(
    st.integers(1, 300),
    st.integers(1, 24),
    st.sampled_from(sorted(MASK_RATIOS)),
)
def test_counts_sum_to_the_tokens_and_none_is_idle_before_the_last(num_tokens, num_steps, schedule):
    counts = reveal_counts(num_tokens, num_steps, schedule)
    assert len(counts) == num_steps
    assert int(counts.sum()) == num_tokens
    assert num_steps == 1 or int(counts[:-1].min()) >= 1


@pytest.mark.parametrize("schedule", sorted(MASK_RATIOS))
def test_ratios_fall_from_one_to_zero(schedule):
    r = torch.linspace(0, 1, 101, dtype=torch.float64)
    ratio = mask_ratio(r, schedule)
    assert float(ratio[0]) == pytest.approx(1)
    assert float(ratio[-1]) == pytest.approx(0, abs=1e-15)
    assert bool((ratio.diff() < 0).all())


def test_ratios_are_the_complement_of_the_process_schedules():
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    for name, schedule in (("arccos", ArccosSchedule()), ("linear", LinearSchedule())):
        torch.testing.assert_close(mask_ratio(1 - t, name), 1 - schedule.alpha(t))


def test_the_ramp_runs_over_the_steps():
    r = torch.arange(5, dtype=torch.float64) / 5
    torch.testing.assert_close(ramp(r, 5), torch.arange(5, dtype=torch.float64) / 4)
    assert ramp(torch.zeros(2), 1).tolist() == [1.0, 1.0]


def test_guidance_keeps_excluded_values_excluded():
    cond = torch.tensor([[[0.0, -1.0, -torch.inf]]])
    uncond = torch.tensor([[[1.0, 2.0, -torch.inf]]])
    expected = torch.tensor([[[-2.0, -7.0, -torch.inf]]])
    torch.testing.assert_close(guided_logits(cond, uncond, 2.0), expected)
    torch.testing.assert_close(guided_logits(cond, uncond, torch.tensor([2.0])), expected)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_guidance_has_nothing_to_extrapolate_from_an_excluded_value(weight):
    cond = torch.tensor([[[0.0, -1.0]]])
    uncond = torch.tensor([[[-1.0, -torch.inf]]])
    expected = torch.tensor([[[weight, -1.0]]])
    torch.testing.assert_close(guided_logits(cond, uncond, weight), expected)


@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(-2, 8))
def test_a_step_reveals_the_asked_number_of_masked_positions(seed, num_dims, count):
    source = generator(seed)
    log_probs = torch.randn(4, num_dims, 3, generator=source).log_softmax(-1)
    masked = torch.rand(4, num_dims, generator=source) < 0.6
    x_t = torch.where(masked, 3, 0)
    x_s, left = confidence_step(
        log_probs,
        x_t,
        masked,
        torch.full((4,), count),
        torch.ones(4),
        generator=source,
    )
    revealed = masked & ~left
    assert torch.equal(revealed.sum(-1), masked.sum(-1).clamp_max(max(0, count)))
    assert torch.equal(x_s[~revealed], x_t[~revealed])
    assert not bool((left & ~masked).any())
    assert bool((x_s[revealed] < 3).all())


@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0.01, 0.5))
def test_the_teacher_step_reaches_the_share_of_its_schedule(seed, r, delta):
    """From any state: masks left are the schedule's, rounded up, and never more than before."""
    source = generator(seed)
    num_dims = 10
    x_t = torch.where(torch.rand(2, 3, num_dims, generator=source) < 0.7, 5, 1)
    log_probs = torch.randn(2, 1, num_dims, 5, generator=source).log_softmax(-1)
    x_u = teacher_step(
        log_probs.expand(-1, 3, -1, -1),
        x_t,
        torch.tensor([r, 0.3], dtype=torch.float64),
        delta,
        5,
        generator=source,
    )
    for b, start in enumerate((r, 0.3)):
        share = math.acos(min(start + delta, 1)) / (math.pi / 2)
        before = (x_t[b] == 5).sum(-1)
        after = (x_u[b] == 5).sum(-1)
        assert torch.equal(after, before.clamp_max(math.ceil(share * num_dims - 1e-9)))
    kept = x_t != 5
    assert torch.equal(x_u[kept], x_t[kept])


def test_infilling_keeps_what_is_given():
    start = torch.tensor([[2, 0, 2], [1, 1, 2], [0, 1, 0]])
    options = {"latent": LatentPolicy(law=FiniteLatent(torch.arange(2)))}
    result = confidence_sampling(PROCESS, _table(1), start, 2, trajectory=True, **options)
    known = start != 2
    assert torch.equal(result.samples[known], start[known])
    assert int(result.samples.max()) < 2
    assert torch.equal(result.trajectory[0], start)
    assert torch.equal(result.trajectory[-1], result.samples)
    done = confidence_sampling(PROCESS, _table(1), start[2:], 3, **options)
    assert done.nfe == 0


def test_calls_are_counted_in_both_branches_and_see_the_same_latent():
    calls = []

    def network(name):
        def denoiser(x_t, t, latent=None):
            calls.append((name, float(t[0]), latent))
            return torch.zeros(*x_t.shape, 2).log_softmax(-1)

        return denoiser

    result = confidence_sampling(
        PROCESS,
        network("cond"),
        torch.full((3, 8), 2),
        4,
        unconditional=network("uncond"),
        guidance=1.0,
        latent=LatentPolicy(),
    )
    # No guidance in the first step: its unconditional call would be wasted.
    assert result.nfe == len(calls) == 7
    assert [t for name, t, _ in calls if name == "cond"] == [1.0, 0.75, 0.5, 0.25]
    for (_, t, latent), (_, other_t, other) in itertools.pairwise(calls[1:]):
        assert (t == other_t) == torch.equal(latent, other)


def test_sample_i_is_the_same_in_every_batch():
    def run(positions):
        return confidence_sampling(
            PROCESS,
            _table(1),
            torch.full((len(positions), DIMS), 2),
            2,
            latent=LatentPolicy(law=FiniteLatent(torch.arange(2))),
            generator=SampleGenerators(3, positions),
        ).samples

    whole = run(range(8))
    assert torch.equal(torch.cat([run(range(3)), run(range(3, 8))]), whole)


def test_sample_i_is_the_same_beside_one_with_more_masks():
    few = torch.full((1, 16), 2)
    few[0, :8] = 1
    whole = torch.full((1, 16), 2)

    def denoiser(x_t, t, latent=None):
        logit = (x_t * torch.arange(16)).double().sin() + torch.arange(16) / 16
        return torch.stack([logit, -logit], -1).log_softmax(-1)

    def run(start, seed):
        generators = SampleGenerators(seed, range(len(start)))
        return confidence_sampling(
            PROCESS, denoiser, start, 4, generator=generators, trajectory=True
        ).trajectory[:, 0]

    for seed in range(20):
        assert torch.equal(run(few, seed), run(torch.cat([few, whole]), seed))


def test_masking_hits_its_share():
    x_0 = torch.zeros(3, 40_000, dtype=torch.long)
    ratio = torch.tensor([0.0, 0.3, 1.0])
    masked = mask_tokens(x_0, ratio, 7, generator=generator()) == 7
    share = masked.double().mean(-1).tolist()
    assert share[0] == 0
    assert share[1] == pytest.approx(0.3, abs=0.012)  # five standard deviations
    assert share[2] == 1


def test_bad_arguments_are_refused():
    start = torch.full((2, 3), 2)
    with pytest.raises(ValueError, match=r"schedule must be one of 'arccos', .*; got 'sine'"):
        confidence_sampling(PROCESS, _table(1), start, 2, schedule="sine")
    with pytest.raises(ValueError, match="num_steps must be at least 1; got 0"):
        confidence_sampling(PROCESS, _table(1), start, 0)
    with pytest.raises(ValueError, match=r"unconditional must be given for guidance = 3\.0"):
        confidence_sampling(PROCESS, _table(1), start, 2, guidance=3.0)
    with pytest.raises(ValueError, match=r"start must be states in 0\.\.2; got 3"):
        confidence_sampling(PROCESS, _table(1), start + 1, 2)
    with pytest.raises(ValueError, match=r"start must be int64.*torch.int32: use \.long\(\)"):
        confidence_sampling(PROCESS, _table(1), start.int(), 2)
    with pytest.raises(ValueError, match="log_probs returned by the denoiser must have shape"):
        confidence_sampling(PROCESS, lambda *_: torch.zeros(2, 3, 5), start, 2)
    with pytest.raises(ValueError, match="num_tokens must be at least 1"):
        reveal_counts(0, 3)
