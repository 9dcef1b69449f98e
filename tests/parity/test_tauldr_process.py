"""The recorded discretised Gaussian of tauLDR and its reverse step."""

import re

import pytest
import torch

from di4c.processes import gaussian_process
from tests.parity import recordings

FLOAT64 = {"rtol": 1e-10, "atol": 1e-10}
FLOAT32 = {"rtol": 1e-5, "atol": 2e-6}
FLOOR = 1e-8  # smaller transition probabilities are recorded as 0

# Accuracy of kernels with a uniform stationary law. By their own description, the recordings differ
# from another matrix exponential by up to 1.4e-14, and by 3e-7 with products in float32.
KERNEL64, KERNEL32 = 2e-14, 5e-7


@pytest.fixture(scope="module")
def recorded():
    return recordings.tensors("tauldr_process")


@pytest.fixture(scope="module")
def description():
    return recordings.description("tauldr_process")


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
        """The states x_t and the times s, t of the recorded reverse step."""
        return self["pst/x_t"], self["pst/s"], self["pst/t"]

    def kernel_noise(self, kernel=KERNEL64):
        """Absolute error of a transition probability.

        The eigenvectors of a reversible chain are an orthogonal matrix between the square roots of
        the stationary law and their inverses. So their condition number is the square root of the
        largest ratio of its probabilities. The error is at most the floor.
        """
        law = self["initial_pmf"]
        return kernel * min(float((law.max() / law.min()).sqrt()), FLOOR / KERNEL64)

    def bayes_noise(self, *spans, kernel=KERNEL64):
        """Relative error (B, 1, 1) of products and quotients of the kernels over the given (s, t).

        It is that of the smallest probability that is not cut off, which is near 1e-8 at small t.
        There the reverse steps from two good eigendecompositions differ by 5e-10.
        """
        process = self.process()
        kernels = torch.stack([process.transition(s, t) for s, t in spans])
        smallest = kernels.where(kernels > 0, torch.inf).amin((-1, -2))
        return (self.kernel_noise(kernel) / smallest).sum(0)[:, None, None]


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
        beta = process.speed(t)
        torch.testing.assert_close(beta, variant["rate_scalar"], **FLOAT64)
        torch.testing.assert_close(
            process.integrated_rate(t), variant["integral_rate_scalar"], **FLOAT64
        )
        count = len(variant["rate"])  # fewer times are recorded if S is large
        torch.testing.assert_close(beta[:count, None, None] * base, variant["rate"], **FLOAT64)
        torch.testing.assert_close(process.prior(), variant["initial_pmf"], **FLOAT64)


def test_transitions(recorded, variants):
    t, s_of_pair, t_of_pair = (recorded[f"in/{name}"] for name in ("t", "s_of_pair", "t_of_pair"))
    for variant in variants:
        process, noise = variant.process(), variant.kernel_noise()
        kernel = process.transition(0.0, t)[:, variant.rows]
        _assert_close(kernel, variant["transition"], FLOAT64, noise)
        single = process.transition(0.0, t.float().double())[:, variant.rows]
        _assert_close(single, variant["transition_f32"], FLOAT32, noise)
        pairs = process.transition(s_of_pair, t_of_pair)[:, variant.rows]
        _assert_close(pairs, variant["transition_ts"], FLOAT64, noise)
        _assert_close(pairs, variant["transition_ts_f32"], FLOAT32, noise)


def test_the_reverse_step(variants):
    for variant in variants:
        x_t, s, t = variant.step()
        found = variant.process().reverse(variant["pst/p0t"], x_t, s, t)
        spans = ((0.0, t), (0.0, s), (s, t))
        noise = found * variant.bayes_noise(*spans)
        _assert_close(found, variant["pst/p_s_given_t"], FLOAT64, noise)
        # At small t the float32 reference loses the precision of its denominators.
        noise = found * variant.bayes_noise(*spans, kernel=KERNEL32)
        _assert_close(found, variant["pst/p_s_given_t_f32"], FLOAT32, noise)


def test_the_bridge(variants):
    for variant in variants:
        x_t, s, t = variant.step()
        found = variant.process().posterior(variant["pst/x_0"], x_t, s, t)
        noise = found * variant.bayes_noise((0.0, t), (0.0, s), (s, t))
        _assert_close(found, variant["pst/ps_given_x0"], FLOAT64, noise)


def test_the_unnormalised_logarithm(variants):
    """The same step in logarithms, with the regularisation added twice, as in the reference.

    A process with twice the epsilon adds it twice to the likelihoods. For the sum over x_0 the test
    adds it once more.
    """
    for variant in variants:
        x_t, s, t = variant.step()
        once, twice = variant.process(), variant.process(epsilon_factor=2)
        weights = variant["pst/p0t"] / twice.likelihood(x_t, 0.0, t)
        pushed = once.push(weights, 0.0, s) + variant.epsilon
        found = pushed.log() + twice.likelihood(x_t, s, t).log()
        noise = variant.bayes_noise((0.0, t), (0.0, s), (s, t))
        logarithms = {"rtol": 1e-7, "atol": 1e-7}
        _assert_close(found, variant["pst/log_p_s_given_t_unnormalised"], logarithms, noise)


def test_reverse_rates(variants):
    recorded = [variant for variant in variants if "pst/reverse_rates" in variant]
    assert recorded
    for variant in recorded:
        x_t, _, t = variant.step()
        found = variant.process().reverse_rates(variant["pst/p0t"], x_t, t)
        noise = found * variant.bayes_noise((0.0, t), (0.0, t))  # a quotient of two rows
        _assert_close(found, variant["pst/reverse_rates"], FLOAT64, noise)


def _assert_close(found, recorded, tolerance, noise):
    """Agreement to the tolerance plus the noise, which is one number or one for each entry."""
    assert found.shape == recorded.shape
    bound = tolerance["atol"] + tolerance["rtol"] * recorded.double().abs() + noise
    excess = (found - recorded.double()).abs() - bound
    assert float(excess.max()) <= 0
