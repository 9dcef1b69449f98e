"""What the steps of a process refuse: the message names the argument, the value and the remedy."""

import math

import pytest
import torch

from di4c.processes import MaskedProcess, UniformProcess, gaussian_process, two_state_process
from tests.helpers.refusals import assert_refused

PROCESSES = {
    "masked": MaskedProcess(2),
    "uniform": UniformProcess(3),
    "gaussian": gaussian_process(3, epsilon=1e-9),
    "two_state": two_state_process(0.5, 1.5),
}
STEPS = {
    "reverse": lambda process, probs, x: process.reverse(probs, x, 0.0, 0.5),
    "reverse_step": lambda process, probs, x: process.reverse_step(probs, x, 0.1, 0.5),
    "reverse_rates": lambda process, probs, x: process.reverse_rates(probs, x, 0.5),
    "flow": lambda process, probs, x: process.flow(probs, x, 0.0, 0.5),
}
MOVES = {
    "sample": lambda process, x: process.sample(x, 0.0, 0.5),
    "posterior": lambda process, x: process.posterior(x, x, 0.1, 0.5),
    "bridge": lambda process, x: process.bridge(x, x, 0.1, 0.5),
}


def _law(process, *shape):
    return torch.full((*shape, process.num_states), 1 / process.num_states)


def _spoilt(value):
    def change(probs):
        probs = probs.clone()
        probs[1, 0, 1] = value
        return probs

    return change


WRONG_PROBS = {
    "nan": (_spoilt(math.nan), r"probs must be finite .* got nan at index \[1, 0, 1\]"),
    "negative": (_spoilt(-1.0), r"probs must be finite .* got -1.0 at index \[1, 0, 1\]"),
    "infinite": (_spoilt(math.inf), r"probs must be finite .* got inf at index \[1, 0, 1\]"),
    "logarithms": (torch.log, "probs must .*non-negative"),
    "whole": (lambda probs: probs.long(), "probs must have a float type; got torch.int64"),
    "other D": (lambda probs: probs[:, :1], r"probs must have .* \(4, 2\); got \(4, 1, "),
    "other S": (lambda probs: probs[..., :1], "probs must have the .* values .*got 1"),
    "one number": (lambda probs: probs.sum(), r"probs must have .* got \(\)"),
}
WRONG_STATES = {
    "too large": (lambda x: x + 9, r"states in 0..\d; got 9 at index \[0, 0\]"),
    "negative": (lambda x: x - 1, r"states in 0..\d; got -1 at index \[0, 0\]"),
    "float": (lambda x: x.float(), "int64.*got torch.float32"),
}


def _has(process, step):
    return hasattr(PROCESSES[process], step)


@pytest.mark.parametrize("wrong", WRONG_PROBS)
@pytest.mark.parametrize(
    ("process", "step"), [(p, s) for p in PROCESSES for s in STEPS if _has(p, s)]
)
def test_probabilities_that_are_none_are_refused(process, step, wrong, as_installed):
    change, message = WRONG_PROBS[wrong]
    noise, x_t = PROCESSES[process], torch.zeros(4, 2, dtype=torch.long)
    probs = change(_law(noise, 4, 2))
    assert_refused(lambda: STEPS[step](noise, probs, x_t), message)


@pytest.mark.parametrize("wrong", WRONG_STATES)
@pytest.mark.parametrize(
    ("process", "step"), [(p, s) for p in PROCESSES for s in (*STEPS, *MOVES) if _has(p, s)]
)
def test_states_that_are_none_are_refused(process, step, wrong, as_installed):
    change, message = WRONG_STATES[wrong]
    noise, x = PROCESSES[process], change(torch.zeros(4, 2, dtype=torch.long))
    name = {"sample": "x_s", "posterior": "x_0", "bridge": "x_0"}.get(step, "x_t")
    call = STEPS.get(step) or (lambda process, probs, x: MOVES[step](process, x))
    assert_refused(lambda: call(noise, _law(noise, 4, 2), x), f"{name} must be {message}")


@pytest.mark.parametrize("name", ["probs", "x_t"])
def test_arrays_are_refused(name, as_installed):
    process = PROCESSES["uniform"]
    given = {"probs": _law(process, 4, 2), "x_t": torch.zeros(4, 2, dtype=torch.long)}
    given[name] = given[name].numpy()
    with pytest.raises(TypeError, match=f"{name} must be a tensor; got ndarray"):
        process.reverse(**given, s=0.0, t=0.5)


@pytest.mark.parametrize("process", PROCESSES)
def test_values_elsewhere_than_on_the_cpu_are_not_read(process):
    """The meta device stands for a GPU. It has no values: a check of them would fail."""
    noise = PROCESSES[process]
    probs, x_t = (_law(noise, 4, 2).to("meta"), torch.zeros(4, 2, dtype=torch.long).to("meta"))
    noise.check_step(probs, x_t)
    assert_refused(lambda: noise.check_step(probs, x_t.int()), "x_t must be int64")


@pytest.mark.parametrize("process", PROCESSES)
def test_weights_that_sum_to_another_number_are_no_error(process):
    noise, x_t = PROCESSES[process], torch.zeros(4, 2, dtype=torch.long)
    law = _law(noise, 4, 2).double()
    found, expected = (noise.reverse(p, x_t, 0.1, 0.5) for p in (3 * law, law))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("process", PROCESSES)
def test_the_first_wrong_time_is_named_in_one_line(process, as_installed):
    noise, x = PROCESSES[process], torch.zeros(64, 2, dtype=torch.long)
    t = torch.full((64,), 0.5, dtype=torch.float64)
    t[3:] = 2.0
    said = assert_refused(lambda: noise.reverse(_law(noise, 64, 2), x, 0.0, t), "times must")
    assert "got s = 0.0, t = 2.0 at index [3]" in said
    said = assert_refused(lambda: noise.transition(t.log(), t * math.nan), "times must")
    assert "t = nan at index [0]" in said
    for count in (63, 65):
        late = torch.full((count,), 0.5, dtype=torch.float64)
        message = f"times must be one for all .*got {count} times for states of shape"
        assert_refused(lambda late=late: noise.reverse(_law(noise, 64, 2), x, 0.0, late), message)
        assert_refused(lambda late=late: noise.sample(x, 0.0, late), message)
