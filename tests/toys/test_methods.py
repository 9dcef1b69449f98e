"""The exact methods against fractions, closed forms, brute force and samples."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.confidence import confidence_sampling
from di4c.denoisers import ExactDenoiser
from di4c.exact import product_composition, states, total_variation
from di4c.exact.closed_forms import parity_tv, repetition_tv
from di4c.maskgit_schedule import reveal_counts
from di4c.schedules import alpha_grid, psi_grid, quadratic_grid, uniform_grid
from tests.helpers.goodness_of_fit import P_VALUE, p_value
from theory.samplers.divergences.jump_your_steps import step_total_correlations
from toys.benchmark.metrics import check_output
from toys.methods import METHODS, find_method
from toys.tasks import synthetic_laws
from toys.tasks.registry import TASKS, Task
from toys.tasks.setting import PROCESSES, Setting
from toys.teachers.exact import MarginalsDenoiser
from toys.teachers.grid_search import best_grids, candidate_times, correlation_costs, least_tv_grid
from toys.teachers.masked_curve import BatchLaws, recursion_flops

EXACT = ("teacher", "jump-your-steps", "optimal-grid", "sequential", "confidence")


def _random_law(seed, size, zeros=0):
    rng = np.random.default_rng(seed)
    law = rng.dirichlet(np.ones(size))
    law[rng.permutation(size)[:zeros]] = 0
    return torch.from_numpy(law / law.sum())


def _setting(law, num_values, num_dims, process):
    return Setting(Task("mine", "mine", num_values, num_dims, law.clone), process)


@settings(max_examples=15)
@given(
    st.sampled_from([(2, 3), (2, 5), (3, 3), (4, 2)]),
    st.integers(0, 10**6),
    st.integers(1, 7),
    st.booleans(),
)
def test_masked_curve_is_the_composition_of_its_steps(shape, seed, num_steps, sparse):
    num_values, num_dims = shape
    size = num_values**num_dims
    law = _random_law(seed, size, zeros=size // 2 if sparse else 0)
    process = PROCESSES["masked"](num_values)
    expected = product_composition(process, law, uniform_grid(num_steps))
    output = BatchLaws(law, num_values).output(num_steps)
    torch.testing.assert_close(output, expected, atol=1e-14, rtol=1e-12)


def test_masked_curve_when_the_head_is_enumerated_too():
    """With seven bits the last five are in a dense product and the first two enumerated."""
    law = _random_law(5, 128, zeros=40)
    expected = product_composition(PROCESSES["masked"](2), law, uniform_grid(4))
    torch.testing.assert_close(BatchLaws(law, 2).output(4), expected, atol=1e-14, rtol=1e-12)
    few = BatchLaws(law, 2, max_batches=4)
    torch.testing.assert_close(few.output(4), expected, atol=1e-14, rtol=1e-12)
    with pytest.raises(ValueError, match="max_batches = 4"):
        few.output(5)


@pytest.mark.parametrize(
    ("law", "tv"), [(synthetic_laws.parity, parity_tv), (synthetic_laws.repetition, repetition_tv)]
)
@pytest.mark.parametrize("num_steps", [1, 2, 9, 1000])
def test_masked_curve_against_rationals(law, tv, num_steps):
    q_0 = law(6)
    output = BatchLaws(q_0, 2).output(num_steps)
    expected = float(tv(6, num_steps))
    assert float(total_variation(q_0, output)) == pytest.approx(expected, rel=1e-10)


def test_masked_curve_names_bad_arguments():
    law = _random_law(0, 8)
    with pytest.raises(ValueError, match=r"max_batches.*4"):
        BatchLaws(law, 2, max_batches=4)
    with pytest.raises(ValueError, match=r"num_steps.*0"):
        BatchLaws(law, 2).output(0)
    assert recursion_flops(16, 2) > 1e12 > recursion_flops(12, 2)


def test_progress_sees_every_block():
    seen = []

    def watch(rows):
        seen.append(len(rows))
        yield from rows

    BatchLaws(_random_law(0, 128), 2, progress=watch)
    assert seen == [9] * 6


@settings(max_examples=10)
@given(st.sampled_from([(2, 4), (3, 3)]), st.integers(0, 10**6))
def test_marginals_denoiser_is_the_exact_teacher(shape, seed):
    num_values, num_dims = shape
    law = _random_law(seed, num_values**num_dims, zeros=num_values**num_dims // 2)
    x_t = states(num_dims, num_values + 1)
    t = torch.full((len(x_t),), 0.3, dtype=torch.float64)
    exact = ExactDenoiser(PROCESSES["masked"](num_values), law)(x_t, t)
    ratio = MarginalsDenoiser(law, num_values)(x_t, t)
    torch.testing.assert_close(ratio.exp(), exact.exp(), atol=1e-14, rtol=1e-12)


@pytest.mark.parametrize("process", ["masked", "uniform"])
@pytest.mark.parametrize("zeros", [0, 3])
def test_correlation_costs_against_dense_reverse_kernels(process, zeros):
    forward = PROCESSES[process](2)
    law, times = _random_law(2, 8, zeros), torch.tensor([0.0, 0.2, 0.5, 1.0]).double()
    costs = correlation_costs(forward, law, times)
    for s, t in itertools.combinations(range(4), 2):
        (expected,) = step_total_correlations(forward, law, [float(times[s]), float(times[t])])
        assert float(costs[s, t]) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(3, 7))
def test_best_grids_against_all_grids(seed, count):
    rng = np.random.default_rng(seed)
    times = torch.from_numpy(np.sort(rng.uniform(size=count)))
    costs = torch.from_numpy(rng.uniform(size=(count, count)))
    for n, grid in enumerate(best_grids(times, costs, count - 1), start=1):
        paths = [
            (0, *inner, count - 1) for inner in itertools.combinations(range(1, count - 1), n - 1)
        ]
        least = min(paths, key=lambda p: sum(float(costs[s, t]) for s, t in itertools.pairwise(p)))
        assert grid.tolist() == times[list(least)].tolist()


def test_best_grids_need_enough_candidates():
    with pytest.raises(ValueError, match=r"max_steps.*1 to 2.*3"):
        best_grids(torch.tensor([0.0, 0.5, 1.0]), torch.zeros(3, 3), 3)
    assert candidate_times(4)[[0, -1]].tolist() == [0.0, 1.0]
    assert bool((candidate_times(16).diff() > 0).all())


@pytest.mark.parametrize("num_steps", [2, 4])
def test_search_finds_the_known_best_grid_of_a_pair(num_steps):
    """Equispaced in alpha for masked noise, in psi for uniform noise."""
    q_0 = synthetic_laws.correlated_pair(0.9)
    for name, known in (
        ("masked", lambda p: alpha_grid(p.schedule, num_steps)),
        ("uniform", lambda p: psi_grid(p.schedule, num_steps, 0.9)),
    ):
        process = PROCESSES[name](2)
        grid = least_tv_grid(process, q_0, quadratic_grid(num_steps), 60 * num_steps)
        found, best = (
            float(total_variation(q_0, product_composition(process, q_0, g)))
            for g in (grid, known(process))
        )
        assert best - 1e-12 <= found <= best * (1 + 1e-4)


def test_search_is_never_worse_than_where_it_starts():
    law, process = _random_law(8, 8, zeros=4), PROCESSES["uniform"](2)
    start = uniform_grid(3)
    grid = least_tv_grid(process, law, start, 5)
    before, after = (
        float(total_variation(law, product_composition(process, law, g))) for g in (start, grid)
    )
    assert after <= before
    assert least_tv_grid(process, law, uniform_grid(1), 5).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("process", ["masked", "uniform"])
@pytest.mark.parametrize("zeros", [0, 10])
def test_exact_methods_give_laws(name, process, zeros):
    method = find_method(name)
    if process not in method.processes:
        return
    setting = _setting(_random_law(4, 27, zeros), 3, 3, process)
    outputs = list(method.outputs(setting, (1, 2)))
    assert outputs
    for output in outputs:
        check_output(output, setting, name)
    if name != "sequential":
        assert [output.nfe for output in outputs] == [1, 2]
    one = [output for output in outputs if output.nfe == 1]
    for output in one:  # one step of any product is the product of the marginals
        expected = product_composition(setting.process, setting.q_0, [0.0, 1.0])
        torch.testing.assert_close(output.law, expected, atol=1e-14, rtol=1e-12)


@pytest.mark.parametrize("zeros", [0, 10])
def test_sequential_generation_loses_nothing(zeros):
    law = _random_law(6, 27, zeros)
    (output,) = METHODS["sequential"].outputs(_setting(law, 3, 3, "masked"), (1, 2))
    assert output.nfe == 3
    torch.testing.assert_close(output.law, law, atol=1e-15, rtol=1e-12)


def _confidence_by_fractions(weights, num_values, num_dims, counts):
    """The law by enumerating all draws of all masked positions in rational arithmetic."""
    cells = list(itertools.product(range(num_values), repeat=num_dims))
    law = {x: Fraction(w, sum(weights)) for x, w in zip(cells, weights, strict=True)}

    def marginal(part, d):
        matching = {x: p for x, p in law.items() if all(x[i] == v for i, v in part.items())}
        total = sum(matching.values())
        if total == 0:
            matching, total = law, Fraction(1)
        return [sum(p for x, p in matching.items() if x[d] == v) / total for v in range(num_values)]

    current = {(): Fraction(1)}  # keys: sorted (position, value) pairs of the seen positions
    for count in counts:
        later = {}
        for seen, probability in current.items():
            part = dict(seen)
            masked = [d for d in range(num_dims) if d not in part]
            rows = {d: marginal(part, d) for d in masked}
            for draw in itertools.product(range(num_values), repeat=len(masked)):
                value = dict(zip(masked, draw, strict=True))
                mass = probability * math.prod(rows[d][value[d]] for d in masked)
                if mass:
                    kept = sorted(masked, key=lambda d: (-rows[d][value[d]], d))[:count]
                    key = tuple(sorted({**part, **{d: value[d] for d in kept}}.items()))
                    later[key] = later.get(key, 0) + mass
        current = later
    return [float(current.get(tuple(enumerate(x)), 0)) for x in cells]


@pytest.mark.parametrize(("num_values", "num_dims"), [(2, 3), (3, 2), (2, 4)])
@pytest.mark.parametrize("seed", [0, 1])
def test_confidence_law_by_rational_enumeration(num_values, num_dims, seed):
    """Small integer weights, some of them 0, so that ties and impossible states occur."""
    weights = np.random.default_rng(seed).integers(0, 4, size=num_values**num_dims).tolist()
    law = torch.tensor(weights).double() / sum(weights)
    setting = _setting(law, num_values, num_dims, "masked")
    for output in METHODS["confidence"].outputs(setting, (1, 2, num_dims)):
        counts = [c for c in reveal_counts(num_dims, output.nfe).tolist() if c > 0]
        expected = _confidence_by_fractions(weights, num_values, num_dims, counts)
        np.testing.assert_allclose(output.law.numpy(), expected, atol=1e-14)


def test_confidence_law_is_that_of_the_sampler():
    """40000 draws of `confidence_sampling` without noise."""
    law = _random_law(9, 16)
    setting = _setting(law, 2, 4, "masked")
    (output,) = METHODS["confidence"].outputs(setting, (2,))
    start = torch.full((40_000, 4), 2)
    drawn = confidence_sampling(
        setting.process,
        setting.teacher,
        start,
        2,
        temperature=0.0,
        generator=torch.Generator().manual_seed(0),
    ).samples
    assert p_value(drawn, output.law, 2) > P_VALUE
    assert p_value(drawn, law, 2) < P_VALUE, "it is not the data law"


def test_a_trained_teacher_takes_the_place_of_the_exact_one():
    """A teacher that draws each coordinate by a fair coin gives the uniform law."""
    law = _random_law(1, 8)

    def blind(setting):
        # Sums to 1 up to float32 only, as the answer of a network does.
        return lambda x_t, t, latent=None: torch.full((*x_t.shape, 2), 0.5 + 1e-8).log()

    setting = Setting(Task("mine", "mine", 2, 3, law.clone), "masked", make_teacher=blind)
    for name in ("teacher", "sequential", "confidence"):
        for output in find_method(name).outputs(setting, (1, 2)):
            check_output(
                output, setting, name
            )  # accepts it, although the teacher is normalised in float32
            torch.testing.assert_close(output.law, torch.full((8,), 0.125).double())


def test_what_is_too_large_is_left_out():
    setting = Setting(TASKS["digits4x4"], "masked")
    assert not setting.composable
    assert not setting.multi_step
    assert list(METHODS["jump-your-steps"].outputs(setting, (2, 4))) == []
    assert list(METHODS["confidence"].outputs(setting, (2, 4))) == []


def test_unknown_method_lists_the_known_ones():
    with pytest.raises(ValueError, match="'magic'") as error:
        find_method("magic")
    assert all(name in str(error.value) for name in METHODS)
