"""Extreme numbers: every result is finite, as documented infinite, or a named error. Never NaN.

Logits of 1e4 and -inf, denormal probabilities and states of probability zero, all float types,
S = 2 and S = 50,000, one dimension, one latent, times at 0 and at the horizon. The tests run the
properties on the hypothesis profile "ci"; `python -m tests.hard_use numerics` on "deep".
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr
from torch import Tensor

from di4c.diagnostics import exact_latent_information, exact_total_correlation
from di4c.exact import kl, posterior_marginals, total_correlation, total_variation
from di4c.likelihood import DenseMixture, HeadMixture, LinearHead
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess
from di4c.rng import categorical
from di4c.schedules import ArccosSchedule, CosineSchedule, LinearSchedule
from full_scale.evaluation.inception_score import inception_score

_ALWAYS = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=100, derandomize=True, **_ALWAYS)
settings.register_profile("deep", max_examples=100_000, **_ALWAYS)

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
LOGITS = (0.0, 1.0, -1.0, 30.0, 1e4, -1e4, 6e4, -math.inf, 1e-40, -1e-310)
WEIGHTS = (0.0, 1.0, 0.5, 1e-7, 1e-30, 1e-40, 5e-324)
TIMES = (0.0, 5e-324, 1e-310, 1e-200, 1e-40, 1e-17, 1e-8, 0.3, 0.5, 0.999, 1.0)
SCHEDULES = (LinearSchedule(), CosineSchedule(), ArccosSchedule(), CosineSchedule(horizon=7.0))
LARGE = 50_000  # states of a language model


def numbers(values: tuple[float, ...], *shape: int) -> st.SearchStrategy[Tensor]:
    """Tensors in float64 of some of the values."""
    size = math.prod(shape)
    entries = st.lists(st.sampled_from(values), min_size=size, max_size=size)
    return entries.map(lambda found: torch.tensor(found, dtype=torch.float64).reshape(shape))


@st.composite
def mixtures(draw: Any) -> tuple[Tensor, Tensor, Tensor, torch.dtype]:
    """Logits of a student (1, L, D, S) and of a teacher (1, D, S), a state (1, 1, D), a type."""
    latents, dims, states = (draw(st.integers(low, 3)) for low in (1, 1, 2))
    logits = draw(numbers(LOGITS, 1, latents, dims, states))
    teacher = draw(numbers(LOGITS, 1, dims, states))
    place = st.lists(st.integers(0, states - 1), min_size=dims, max_size=dims)
    return logits, teacher, torch.tensor(draw(place)).reshape(1, 1, dims), draw(_types)


_types = st.sampled_from(DTYPES)


def losses(case: tuple[Tensor, Tensor, Tensor, torch.dtype]) -> None:
    """The losses and their gradients have no NaN, and the distillation loss is its definition."""
    logits, teacher, x_0, dtype = case
    logits = logits.to(dtype).requires_grad_()
    log_teacher = teacher.to(dtype).double().log_softmax(-1)
    log_weights = torch.full((logits.shape[1],), -math.log(logits.shape[1]), dtype=torch.float64)
    no_law = bool((logits.amax(-1) == -math.inf).any() | log_teacher.isnan().any())
    try:
        student = DenseMixture.from_logits(logits, log_weights)
        target = Target.from_samples(x_0, log_teacher)
    except ValueError:
        assert no_law  # a row of -inf
        return
    distillation = distillation_loss(student, log_teacher.to(student.log_probs.dtype))
    parts = [*data_loss(student, target), *consistency_loss(student, target, False)]
    for value in (distillation, *parts):
        assert not bool(value.isnan().any())
        if bool(value.isfinite().all()) and value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), logits, retain_graph=True)
            assert not bool(gradient.isnan().any())
    if dtype == torch.float64:
        given, own = log_teacher.exp()[:, None], logits.detach().log_softmax(-1).exp()
        found = rel_entr(given.numpy(), own.numpy())
        expected = float(found.sum((2, 3)).mean())
        if math.isfinite(expected) and expected < 1e3:  # beyond it a probability underflows
            torch.testing.assert_close(distillation.item(), expected, rtol=1e-6, atol=1e-9)


def heads(case: tuple[Tensor, Tensor, Tensor, torch.dtype]) -> None:
    """A mixture from features and a head has the values of a dense one of the same logits."""
    logits, teacher, x_0, _ = case
    logits, teacher = logits.clamp_min(-1e4), teacher.clamp_min(-1e4)  # products need finite ones
    latents, dims, states = logits.shape[1:]
    # The features of (l, d) point at a row of the weight.
    hidden = torch.eye(latents * dims, dtype=torch.float64).reshape(1, latents, dims, -1)
    weight = logits.reshape(latents * dims, states).T.contiguous()
    log_weights = torch.full((latents,), -math.log(latents), dtype=torch.float64)
    head = HeadMixture(hidden, LinearHead(weight), log_weights)
    dense = DenseMixture.from_logits(logits, log_weights)
    log_teacher = teacher.log_softmax(-1)
    for name, argument in (("gather", x_0), ("marginal_kl", log_teacher)):
        left, right = getattr(head, name)(argument), getattr(dense, name)(argument)
        torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)
    found = distillation_loss(head, log_teacher), distillation_loss(dense, log_teacher)
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)


def diagnostics(case: tuple[Tensor, Tensor, Tensor, torch.dtype]) -> None:
    """Information lies between 0 and log L, and total correlation between 0 and that."""
    log_probs = case[0].log_softmax(-1)
    if bool(log_probs.isnan().any()):
        return
    latents = log_probs.shape[1]
    log_weights = torch.full((latents,), -math.log(latents), dtype=torch.float64)
    correlation = float(exact_total_correlation(log_probs, log_weights))
    information = float(exact_latent_information(log_probs, log_weights))
    slack = 1e-9
    dims = log_probs.shape[2]
    assert -slack <= correlation <= max(dims - 1, 0) * information + slack
    assert -slack <= information <= math.log(latents) + slack


@st.composite
def steps(draw: Any) -> tuple[ForwardProcess, Tensor, float, float, torch.dtype]:
    """A process of two or three values, weights of them, two times, a type."""
    values, schedule = draw(st.integers(2, 3)), draw(st.sampled_from(SCHEDULES))
    make = draw(st.sampled_from((MaskedProcess, UniformProcess)))
    times = sorted(draw(st.sampled_from(TIMES)) * schedule.horizon for _ in range(2))
    return make(values, schedule), draw(numbers(WEIGHTS, values)), *times, draw(_types)


def processes(case: tuple[ForwardProcess, Tensor, float, float, torch.dtype]) -> None:
    """Steps are laws over the states, from every state and at all times."""
    process, weights, s, t, dtype = case
    if not weights.sum() > 1e-300:
        return
    probs = (weights / weights.sum()).to(dtype)
    x_t = torch.arange(process.num_states)
    for step in (process.reverse, process.flow):
        law = step(probs.expand(len(x_t), -1), x_t, s, t).double()
        assert bool((law >= 0).all())
        assert float((law.sum(-1) - 1).abs().max()) <= 8 * torch.finfo(dtype).eps
    rows = process.transition(s, t)
    assert float((rows.sum(-1) - 1).abs().max()) < 1e-12


def draws(case: tuple[ForwardProcess, Tensor, float, float, torch.dtype]) -> None:
    """A state of probability 0 is never drawn; weights without a finite sum are refused."""
    weights = case[1].to(case[-1])
    try:
        drawn = categorical(weights.expand(50, -1), generator=torch.Generator().manual_seed(0))
    except ValueError:
        assert not float(weights.double().sum()) > 1e-300
        return
    assert bool((weights[drawn] > 0).all())


def laws(case: tuple[ForwardProcess, Tensor, float, float, torch.dtype]) -> None:
    """Exact computations with states of probability 0."""
    process, weights, s, t, _ = case
    if not weights.sum() > 1e-300 or not s < t:
        return
    single = weights / weights.sum()
    law = torch.outer(single, single.flip(0)).flatten()
    law /= law.sum()
    table = posterior_marginals(process, law, s, t)
    assert bool((table >= 0).all())
    assert float((table.sum(-1) - 1).abs().max()) < 1e-9
    assert abs(float(total_correlation(law, 2, len(single)))) < 1e-9
    assert float(total_variation(law, law)) == float(kl(law, law)) == 0


def scores(case: tuple[Tensor, Tensor, Tensor, torch.dtype]) -> None:
    """An inception score lies between 1 and the number of classes."""
    logits = case[1][0].to(case[-1])
    try:
        score = inception_score(logits, 1)
    except ValueError:
        assert bool((logits.amax(-1) == -math.inf).any() | (logits.amax(-1) == math.inf).any())
        return
    assert 1 - 1e-9 <= score <= logits.shape[-1] + 1e-9


PROPERTIES: dict[str, tuple[Callable[[Any], None], st.SearchStrategy]] = {
    **{f.__name__: (f, mixtures()) for f in (losses, heads, diagnostics, scores)},
    **{f.__name__: (f, steps()) for f in (processes, draws, laws)},
}
"""Each property, and the cases that it is tried on."""


def many_states(dtype: torch.dtype) -> None:
    """One latent and one dimension with as many states as a vocabulary."""
    logits = torch.zeros(1, 1, 1, LARGE, dtype=dtype)
    logits[..., 0], logits[..., 1] = 1e4, -math.inf
    student = DenseMixture.from_logits(logits, torch.zeros(1))
    assert float(distillation_loss(student, student.log_probs[:, 0])) == 0
    flat = DenseMixture.from_logits(torch.zeros_like(logits), torch.zeros(1))
    loss = float(distillation_loss(student, flat.log_probs[:, 0]))
    assert loss == math.inf or loss > 9e3
    process = MaskedProcess(LARGE, CosineSchedule())
    probs = torch.full((1, LARGE), 1 / LARGE, dtype=dtype)
    law = process.reverse(probs, torch.tensor([process.mask_state]), 0.25, 0.5).double()
    assert abs(float(law.sum()) - 1) < 0.01


def check(name: str, profile: str, number: int | None = None, seed: int = 0) -> None:
    """Try a property on the examples of a hypothesis profile, or on another number of them."""
    function, cases = PROPERTIES[name]
    chosen = settings.get_profile(profile)
    examples = settings(chosen, max_examples=number or chosen.max_examples)
    hypothesis.seed(seed)(given(cases)(examples(lambda case: function(case))))()


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Try all properties on the profile "deep"; see `tests.hard_use`."""
    failures: list[str] = []
    examples: dict[str, int] = {}
    number = math.ceil(share * settings.get_profile("deep").max_examples)
    for dtype in DTYPES:
        many_states(dtype)
    for name in PROPERTIES:
        try:
            check(name, "deep", number, seed)
        except Exception as error:  # whatever a property finds
            said = " ".join(" ".join(getattr(error, "__notes__", ())).split())
            failures.append(f"{name}: {' '.join(repr(error).split())}; {said}")
        examples[name] = number
        yield {"examples": examples, "failures": failures}
