"""The library's losses, exact with all of S^D as atoms, against enumeration in plain Python.

The oracle below holds laws as dictionaries from states to floats. It shares no code with di4c.
"""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss, prefetch

TOLERANCE = 1e-12


def product(rows):
    """The law of independent coordinates, given the list of each one's probabilities."""
    states = itertools.product(range(len(rows[0])), repeat=len(rows))
    return {x: math.prod(row[s] for row, s in zip(rows, x, strict=True)) for x in states}


def mix(weights, laws):
    return {x: math.fsum(w * law[x] for w, law in zip(weights, laws, strict=True)) for x in laws[0]}


def marginals(law):
    num_dims, num_states = len(next(iter(law))), max(max(x) for x in law) + 1
    return [
        [math.fsum(p for x, p in law.items() if x[d] == s) for s in range(num_states)]
        for d in range(num_dims)
    ]


def cross_entropy(r, p):
    return -math.fsum(mass * math.log(p[x]) for x, mass in r.items() if mass > 0)


def kl(r, p):
    return cross_entropy(r, p) - cross_entropy(r, r)


def random_rows(generator, *shape, zeros=False):
    """Random probabilities over the last axis; with zeros some of them are exactly 0."""
    weights = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.05
    if zeros:
        keep = torch.rand(shape, generator=generator) < 0.6
        keep[..., 0] = True
        weights = weights * keep
    return weights / weights.sum(-1, keepdim=True)


class Examples:
    """Two examples of a student mixture, a target law and a product teacher, enumerated."""

    def __init__(self, seed, num_latents, num_dims, num_states, zeros, head):
        generator = torch.Generator().manual_seed(seed)
        shape = (2, num_latents, num_dims, num_states)
        probs = random_rows(generator, *shape)
        latent_law = random_rows(generator, num_latents, zeros=zeros)
        laws = random_rows(generator, 2, num_states**num_dims, zeros=zeros)
        teacher = random_rows(generator, 2, num_dims, num_states, zeros=zeros)
        states = list(itertools.product(range(num_states), repeat=num_dims))
        if zeros:  # one more state, of probability 0 for everyone
            probs = torch.cat([probs, torch.zeros(*shape[:-1], 1, dtype=torch.float64)], -1)
            teacher = torch.cat([teacher, torch.zeros(2, num_dims, 1, dtype=torch.float64)], -1)
        self.states, self.weights = states, latent_law.tolist()
        self.parts = [[product(rows[:, :num_states].tolist()) for rows in b] for b in probs]
        self.student = [mix(self.weights, parts) for parts in self.parts]
        self.independent = [product(marginals(law)) for law in self.student]
        self.law = [dict(zip(states, row, strict=True)) for row in laws.tolist()]
        self.teacher = [product(rows[:, :num_states].tolist()) for rows in teacher]
        if head:
            identity = FunctionHead(lambda rows: rows, probs.shape[-1])
            self.mixture = HeadMixture(
                probs.log(), identity, latent_law.log(), positions_per_chunk=2
            )
        else:
            self.mixture = DenseMixture(probs.log(), latent_law.log())
        self.log_teacher = teacher.log()
        rows = [marginals(law) for law in self.law]
        log_marginals = torch.zeros_like(teacher)
        log_marginals[..., :num_states] = torch.tensor(rows, dtype=torch.float64)
        atoms = torch.tensor(states).expand(2, -1, -1)
        self.target = Target(atoms, laws, log_marginals.log())


SIZES = st.tuples(
    st.integers(0, 2**31),  # seed
    st.integers(1, 4),  # latents
    st.integers(1, 3),  # dimensions
    st.integers(2, 3),  # states
    st.booleans(),  # with zeros
    st.booleans(),  # computed from a head
)


@settings(max_examples=40)
@given(SIZES)
def test_consistency_loss_is_kl_minus_total_correlation(instance):
    """Each part equals its definition, and correlation + marginal = KL(r || p) - TC(r)."""
    examples = Examples(*instance)
    terms = consistency_loss(examples.mixture, examples.target)
    for b in range(2):
        r, p, bar = examples.law[b], examples.student[b], examples.independent[b]
        correlation = cross_entropy(r, p) - cross_entropy(r, bar)
        marginal = kl(product(marginals(r)), bar)
        total = kl(r, p) - kl(r, product(marginals(r)))
        assert terms.correlation[b].item() == pytest.approx(correlation, abs=TOLERANCE)
        assert terms.marginal[b].item() == pytest.approx(marginal, abs=TOLERANCE)
        assert terms.total[b].item() == pytest.approx(total, abs=TOLERANCE)


@settings(max_examples=40)
@given(SIZES)
def test_without_control_variate_it_is_the_cross_entropy(instance):
    examples = Examples(*instance)
    terms = consistency_loss(examples.mixture, examples.target, control_variate=False)
    for b in range(2):
        expected = cross_entropy(examples.law[b], examples.student[b])
        assert terms.correlation[b].item() == pytest.approx(expected, abs=TOLERANCE)
        assert terms.marginal[b].item() == 0


@settings(max_examples=40)
@given(SIZES)
def test_distillation_loss_is_the_mean_of_joint_divergences(instance):
    """For products the sum over d of the marginal KLs is the KL of the joint laws.

    The loss also bounds the divergence of the teacher from the mixture.
    """
    examples = Examples(*instance)
    loss = distillation_loss(examples.mixture, examples.log_teacher)
    for b in range(2):
        divergences = [kl(examples.teacher[b], part) for part in examples.parts[b]]
        expected = math.fsum(w * v for w, v in zip(examples.weights, divergences, strict=True))
        assert loss[b].item() == pytest.approx(expected, abs=TOLERANCE)
        assert loss[b].item() >= kl(examples.teacher[b], examples.student[b]) - TOLERANCE


@settings(max_examples=40)
@given(SIZES)
def test_consistency_loss_of_a_product_target_is_its_divergence(instance):
    """A product target has no total correlation: the loss is KL(target || student)."""
    examples = Examples(*instance)
    probs = torch.tensor([list(law.values()) for law in examples.teacher], dtype=torch.float64)
    target = Target(examples.target.atoms, probs, examples.log_teacher)
    total = consistency_loss(examples.mixture, target).total
    for b in range(2):
        expected = kl(examples.teacher[b], examples.student[b])
        assert total[b].item() == pytest.approx(expected, abs=TOLERANCE)


@settings(max_examples=40)
@given(SIZES)
def test_mean_data_loss_over_the_data_is_the_exact_loss(instance):
    """The mean over x_0 of -log p(x_0), split and whole; the marginal part is the teacher's."""
    examples = Examples(*instance)
    split, whole = [0.0, 0.0], [0.0, 0.0]
    for i, x in enumerate(examples.states):
        x_0 = torch.tensor(x).expand(2, 1, -1)
        target = Target.from_samples(x_0, examples.log_teacher)
        terms = data_loss(prefetch(examples.mixture, [target]), target)
        plain = data_loss(examples.mixture, target, control_variate=False)
        for b in range(2):
            mass = list(examples.law[b].values())[i]
            split[b] += mass * terms.correlation[b].item()
            whole[b] += mass * plain.correlation[b].item()
    for b in range(2):
        r, p, bar = examples.law[b], examples.student[b], examples.independent[b]
        expected = cross_entropy(r, p) - cross_entropy(r, bar)
        assert split[b] == pytest.approx(expected, abs=TOLERANCE)
        assert whole[b] == pytest.approx(cross_entropy(r, p), abs=TOLERANCE)
        marginal = kl(examples.teacher[b], bar)  # of products: the sum over coordinates
        assert terms.marginal[b].item() == pytest.approx(marginal, abs=TOLERANCE)


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(1, 4), st.booleans())
def test_the_control_variate_keeps_the_exact_gradient(seed, num_latents, head):
    examples = Examples(seed, num_latents, 2, 3, zeros=False, head=head)
    logits = torch.randn(2, num_latents, 2, 3, dtype=torch.float64, requires_grad=True)
    grads = []
    for control_variate in (True, False):
        if head:
            mixture = HeadMixture(
                logits, FunctionHead(lambda rows: rows, 3), examples.mixture.log_weights
            )
        else:
            mixture = DenseMixture.from_logits(logits, examples.mixture.log_weights)
        loss = consistency_loss(mixture, examples.target, control_variate).total.sum()
        grads += torch.autograd.grad(loss, logits)
    torch.testing.assert_close(*grads, rtol=0, atol=TOLERANCE)


def test_a_student_without_correlation_has_no_correlation_loss():
    examples = Examples(0, 1, 3, 2, zeros=False, head=False)
    assert consistency_loss(examples.mixture, examples.target).correlation.abs().max() < 1e-15
