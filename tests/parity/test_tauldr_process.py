"""The recorded discretised Gaussian of tauLDR and its reverse step, from the files alone."""

import json
import re

import pytest
import torch
from safetensors.torch import load_file

from di4c.leaping import intensity, reverse_rates
from di4c.processes import gaussian_process
from tests.parity.conftest import FOLDER

FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}
FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}
FLOOR = 1e-8  # smaller transition probabilities are recorded as 0


@pytest.fixture(scope="module")
def recorded():
    return load_file(FOLDER / "tauldr_process.safetensors")


@pytest.fixture(scope="module")
def description():
    return json.loads((FOLDER / "tauldr_process.json").read_text())


class Variant:
    """One set of hyper-parameters: its process and its recorded tensors."""

    def __init__(self, name, recorded, description):
        self.name, self.tensors = name, recorded
        self.epsilon = description["eps_ratio"]
        self.sizes = description["variants"][name]
        self.rows = self["rows"]

    def process(self, epsilon_factor=1):
        return gaussian_process(
            self.sizes["S"],
            rate_sigma=self.sizes["rate_sigma"],
            stationary_sigma=self.sizes["Q_sigma"],
            time_base=self.sizes["time_base"],
            time_exponential=self.sizes["time_exponential"],
            floor=FLOOR,
            epsilon=epsilon_factor * self.epsilon,
        )

    def __getitem__(self, name):
        return self.tensors[f"{self.name}/{name}"]

    def __contains__(self, name):
        return f"{self.name}/{name}" in self.tensors

    def step(self):
        """x_t, s, t of the recorded reverse step."""
        return self["pst/x_t"], self["pst/s"], self["pst/t"]


@pytest.fixture(scope="module")
def variants(recorded, description):
    return [Variant(name, recorded, description) for name in description["variants"]]


def test_every_recorded_tensor_is_read(recorded, description):
    names = "|".join(description["variants"])
    known = (
        rf"in/(t|[ts]_of_pair)|({names})/(rows|base_rate|(integral_)?rate_scalar|rate|"
        r"transition(_ts)?(_f32)?|initial_pmf|pst/(x_t|x_0|t|s|p0t|p_s_given_t(_f32)?|"
        r"log_p_s_given_t_unnormalised|ps_given_x0|reverse_rates))"
    )
    assert [name for name in recorded if not re.fullmatch(known, name)] == []


def test_rates(recorded, variants):
    t = recorded["in/t"]
    for variant in variants:
        process = variant.process()
        base = process.rate_matrix[variant.rows]
        torch.testing.assert_close(base, variant["base_rate"], **FLOAT64)
        beta = intensity(process, t)
        torch.testing.assert_close(beta, variant["rate_scalar"], **FLOAT64)
        torch.testing.assert_close(
            process.integrated_rate(t), variant["integral_rate_scalar"], **FLOAT64
        )
        count = len(variant["rate"])  # fewer times where S is large
        torch.testing.assert_close(beta[:count, None, None] * base, variant["rate"], **FLOAT64)
        torch.testing.assert_close(process.prior(), variant["initial_pmf"], **FLOAT64)


def test_transitions(recorded, variants):
    t, s_of_pair, t_of_pair = (recorded[f"in/{name}"] for name in ("t", "s_of_pair", "t_of_pair"))
    for variant in variants:
        process = variant.process()
        kernel = process.transition(0.0, t)[:, variant.rows]
        torch.testing.assert_close(kernel, variant["transition"], **FLOAT64)
        single = process.transition(0.0, t.float().double())[:, variant.rows]
        torch.testing.assert_close(single, variant["transition_f32"].double(), **FLOAT32)
        pairs = process.transition(s_of_pair, t_of_pair)[:, variant.rows]
        torch.testing.assert_close(pairs, variant["transition_ts"], **FLOAT64)
        torch.testing.assert_close(pairs, variant["transition_ts_f32"].double(), **FLOAT32)


def test_the_reverse_step(variants):
    for variant in variants:
        x_t, s, t = variant.step()
        found = variant.process().reverse(variant["pst/p0t"], x_t, s, t)
        torch.testing.assert_close(found, variant["pst/p_s_given_t"], **FLOAT64)
        torch.testing.assert_close(found, variant["pst/p_s_given_t_f32"].double(), **FLOAT32)


def test_the_bridge(variants):
    for variant in variants:
        x_t, s, t = variant.step()
        found = variant.process().posterior(variant["pst/x_0"], x_t, s, t)
        torch.testing.assert_close(found, variant["pst/ps_given_x0"], **FLOAT64)


def test_the_unnormalised_logarithm(variants):
    """The same step in logarithms, with the regularisation added twice as in the reference.

    Twice is once with twice the epsilon, which is a process of ours, and once more on the sum over
    x_0. Normalised it is the reverse step again, up to the extra regularisation.
    """
    for variant in variants:
        x_t, s, t = variant.step()
        once, twice = variant.process(), variant.process(epsilon_factor=2)
        weights = variant["pst/p0t"] / twice.likelihood(x_t, 0.0, t)
        pushed = once.push(weights, 0.0, s) + variant.epsilon
        found = pushed.log() + twice.likelihood(x_t, s, t).log()
        recorded = variant["pst/log_p_s_given_t_unnormalised"]
        torch.testing.assert_close(found, recorded, rtol=1e-7, atol=1e-7)
        step = once.reverse(variant["pst/p0t"], x_t, s, t)
        torch.testing.assert_close(recorded.softmax(-1), step, rtol=0, atol=1e-6)


def test_reverse_rates(variants):
    recorded = [variant for variant in variants if "pst/reverse_rates" in variant]
    assert recorded
    for variant in recorded:
        x_t, _, t = variant.step()
        found = reverse_rates(variant.process(), variant["pst/p0t"], x_t, t)
        torch.testing.assert_close(found, variant["pst/reverse_rates"], **FLOAT64)
