"""The losses: what holds for every student and target, and where they are infinite."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, FunctionHead, HeadMixture
from di4c.losses import (
    LossTerms,
    Target,
    consistency_loss,
    data_loss,
    distillation_loss,
    prefetch,
)
from tests.helpers.random_losses import RandomLosses

TIGHT = {"rtol": 1e-12, "atol": 1e-12}

SIZES = st.tuples(
    st.integers(0, 2**31),  # seed
    st.integers(1, 3),  # batch
    st.integers(1, 4),  # latents
    st.integers(1, 5),  # dimensions
    st.integers(2, 6),  # states
    st.integers(1, 5),  # atoms
)


@settings(max_examples=30)
@given(SIZES)
def test_every_loss_is_a_number_for_each_example(sizes):
    """The losses of an example are those of a batch of that example alone."""
    example = RandomLosses(*sizes)
    whole = torch.stack(example.losses())
    for b in range(sizes[1]):
        alone = RandomLosses(*sizes)
        alone.logits, alone.log_teacher = example.logits[b : b + 1], example.log_teacher[b : b + 1]
        for name in ("target", "data"):
            full = getattr(example, name)
            part = (x[b : b + 1] for x in (full.atoms, full.weights, full.log_marginals))
            setattr(alone, name, Target(*part))
        torch.testing.assert_close(torch.stack(alone.losses())[:, 0], whole[:, b], **TIGHT)


@settings(max_examples=30)
@given(SIZES)
def test_the_order_of_latents_and_dimensions_does_not_matter(sizes):
    example = RandomLosses(*sizes)
    expected = torch.stack(example.losses())
    latents = torch.randperm(sizes[2], generator=example.generator)
    dims = torch.randperm(sizes[3], generator=example.generator)
    example.logits = example.logits[:, latents][:, :, dims]
    example.log_weights = example.log_weights[latents]
    example.log_teacher = example.log_teacher[:, dims]
    for name in ("target", "data"):
        full = getattr(example, name)
        moved = Target(full.atoms[..., dims], full.weights, full.log_marginals[:, dims])
        setattr(example, name, moved)
    torch.testing.assert_close(torch.stack(example.losses()), expected, **TIGHT)


@settings(max_examples=30)
@given(SIZES)
def test_a_latent_split_in_two_changes_nothing(sizes):
    example = RandomLosses(*sizes)
    expected = torch.stack(example.losses())
    example.logits = torch.cat([example.logits, example.logits[:, :1]], 1)
    shares = torch.tensor([0.3, 0.7], dtype=torch.float64).log() + example.log_weights[0]
    example.log_weights = torch.cat([shares[:1], example.log_weights[1:], shares[1:]])
    torch.testing.assert_close(torch.stack(example.losses()), expected, **TIGHT)


@settings(max_examples=30)
@given(SIZES)
def test_a_student_that_ignores_its_latent_has_no_correlation(sizes):
    example = RandomLosses(*sizes)
    example.logits = example.logits[:, :1].expand_as(example.logits)
    student = example.student
    assert consistency_loss(student, example.target).correlation.abs().max() < 1e-12
    surrogate = distillation_loss(student, example.log_teacher)
    # The target has the teacher's marginals.
    exact = consistency_loss(student, example.target).marginal
    torch.testing.assert_close(surrogate, exact, **TIGHT)


@settings(max_examples=30)
@given(SIZES)
def test_surrogate_bounds_the_divergence_of_the_marginals(sizes):
    example = RandomLosses(*sizes)
    surrogate = distillation_loss(example.student, example.log_teacher)
    assert (surrogate - data_loss(example.student, example.data).marginal).min() > -1e-12


@settings(max_examples=30)
@given(SIZES)
def test_the_split_adds_and_subtracts_the_product_of_the_marginals(sizes):
    """The two correlation parts differ by E_r[log pbar(x)] of the product law pbar."""
    example = RandomLosses(*sizes)
    split = consistency_loss(example.student, example.target)
    plain = consistency_loss(example.student, example.target, control_variate=False)
    product = DenseMixture(
        example.student.log_marginals()[:, None], torch.zeros(1, dtype=torch.float64)
    )
    of_product = consistency_loss(product, example.target, control_variate=False)
    torch.testing.assert_close(
        split.correlation - plain.correlation, -of_product.correlation, **TIGHT
    )
    assert (plain.marginal == 0).all()
    torch.testing.assert_close(split.total, split.correlation + split.marginal, rtol=0, atol=0)


@settings(max_examples=30)
@given(SIZES)
def test_samples_have_equal_weights(sizes):
    example = RandomLosses(*sizes)
    samples = Target.from_samples(example.target.atoms, example.log_teacher)
    each = [
        Target.from_samples(example.target.atoms[:, n : n + 1], example.log_teacher)
        for n in range(sizes[5])
    ]
    mean = torch.stack([consistency_loss(example.student, t).correlation for t in each]).mean(0)
    found = consistency_loss(example.student, samples).correlation
    torch.testing.assert_close(found, mean, **TIGHT)


@settings(max_examples=30)
@given(SIZES)
def test_no_gradient_reaches_the_target(sizes):
    example = RandomLosses(*sizes)
    example.log_teacher.requires_grad_()
    example.target.weights.requires_grad_()
    assert not any(loss.requires_grad for loss in example.losses())


@settings(max_examples=30)
@given(SIZES)
def test_prefetched_losses_are_the_same(sizes):
    example = RandomLosses(*sizes)
    head = FunctionHead(lambda rows: rows, sizes[4])
    student = HeadMixture(example.logits, head, example.log_weights)
    ready = prefetch(student, [example.target, example.data], [example.log_teacher])
    assert type(ready) is not type(student)
    expected = torch.stack(example.losses())
    torch.testing.assert_close(torch.stack(example.losses(ready)), expected, **TIGHT)
    dense = example.student
    assert prefetch(dense, [example.target]) is dense


def test_a_target_from_a_mixture_has_one_draw_for_each_latent():
    example = RandomLosses(0, 2, 3, 4, 5, 1)
    target = Target.from_mixture(example.student, torch.Generator().manual_seed(1))
    again, marginals = example.student.draw(torch.Generator().manual_seed(1))
    assert target.atoms.tolist() == again.tolist()
    assert target.weights.tolist() == [example.log_weights.exp().tolist()] * 2
    torch.testing.assert_close(target.log_marginals, marginals, rtol=0, atol=0)


def _student_with_zeros(*rows):
    """A mixture over two coordinates of two states whose components have zeros."""
    log_probs = torch.tensor([rows], dtype=torch.float64).log().requires_grad_()
    return log_probs, DenseMixture(log_probs, uniform_log_weights(len(rows)))


def _target(atoms, weights, marginals):
    return Target(
        torch.tensor([atoms]),
        torch.tensor([weights], dtype=torch.float64),
        torch.tensor([marginals], dtype=torch.float64).log(),
    )


def test_impossible_atoms_of_weight_0_do_not_count():
    log_probs, student = _student_with_zeros([[1, 0], [0.5, 0.5]], [[1, 0], [1, 0]])
    target = _target([[0, 0], [1, 0]], [1.0, 0.0], [[1, 0], [1, 0]])
    terms = consistency_loss(student, target)
    assert terms.correlation.item() == pytest.approx(0, abs=1e-15)
    assert terms.marginal.item() == pytest.approx(-math.log(0.75), abs=1e-15)
    plain = consistency_loss(student, target, control_variate=False)
    assert plain.correlation.item() == pytest.approx(-math.log(0.75), abs=1e-15)
    for loss in (terms.total, plain.total):
        (grad,) = torch.autograd.grad(loss.sum(), log_probs)
        assert grad.isfinite().all()


def test_an_impossible_atom_costs_infinity_once():
    """Every latent excludes it at one coordinate, so the marginal part is infinite, not NaN."""
    log_probs, student = _student_with_zeros([[1, 0], [0.5, 0.5]], [[1, 0], [1, 0]])
    target = _target([[0, 0], [1, 0]], [0.5, 0.5], [[0.5, 0.5], [1, 0]])
    terms = consistency_loss(student, target)
    assert terms.correlation.item() == pytest.approx(0)  # the other atom is the same for both
    assert terms.marginal.item() == math.inf
    plain = consistency_loss(student, target, control_variate=False)
    assert plain.correlation.item() == math.inf
    for loss in (terms.total, plain.total):
        (grad,) = torch.autograd.grad(loss.sum(), log_probs)
        assert grad.isfinite().all()


def test_an_atom_that_each_latent_excludes_costs_infinite_correlation():
    log_probs, student = _student_with_zeros([[1, 0], [0, 1]], [[0, 1], [1, 0]])
    target = _target([[0, 0]], [1.0], [[0.5, 0.5], [0.5, 0.5]])
    terms = consistency_loss(student, target)
    assert terms.correlation.item() == math.inf
    assert terms.marginal.item() == pytest.approx(0, abs=1e-15)
    (grad,) = torch.autograd.grad(terms.total.sum(), log_probs)
    assert grad.isfinite().all()


def test_the_likelihood_of_a_thousand_coordinates_does_not_underflow():
    log_probs = torch.full((1, 2, 1000, 3), -1.0, dtype=torch.float64).log_softmax(-1)
    student = DenseMixture(log_probs.float(), uniform_log_weights(2))
    loss = data_loss(student, Target.from_samples(torch.zeros(1, 1, 1000, dtype=torch.long)), False)
    assert loss.total.item() == pytest.approx(1000 * math.log(3), rel=1e-6)


def test_the_parts_add_up_to_the_total():
    terms = LossTerms(torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.0]))
    assert terms.total.tolist() == [1.5, 1.0]
