"""The losses: laws they obey for every student and target, infinities, and bad input."""

import math

import pytest
import torch
from hypothesis import given
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
from tests.helpers.refusals import assert_refused

TIGHT = {"rtol": 1e-12, "atol": 1e-12}


class Setting:
    """A student and targets of random sizes; S^D need not be enumerable."""

    def __init__(self, seed, batch, num_latents, num_dims, num_states, num_atoms):
        self.generator = torch.Generator().manual_seed(seed)
        self.logits = 2 * self.randn(batch, num_latents, num_dims, num_states)
        self.log_weights = self.randn(num_latents).log_softmax(-1)
        self.log_teacher = self.randn(batch, num_dims, num_states).log_softmax(-1)
        shape = (batch, num_atoms, num_dims)
        atoms = torch.randint(num_states, shape, generator=self.generator)
        weights = self.randn(batch, num_atoms).softmax(-1)
        self.target = Target(atoms, weights, self.log_teacher)
        self.data = Target.from_samples(atoms[:, :1], self.log_teacher)

    def randn(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    @property
    def student(self):
        return DenseMixture.from_logits(self.logits, self.log_weights)

    def losses(self, student=None):
        student = student or self.student
        return [
            *consistency_loss(student, self.target),
            *data_loss(student, self.data),
            distillation_loss(student, self.log_teacher),
            consistency_loss(student, self.target, control_variate=False).correlation,
        ]


SETTINGS = st.tuples(
    st.integers(0, 2**31),  # seed
    st.integers(1, 3),  # batch
    st.integers(1, 4),  # latents
    st.integers(1, 5),  # dimensions
    st.integers(2, 6),  # states
    st.integers(1, 5),  # atoms
)


@given(SETTINGS)
def test_every_loss_is_per_example(sizes):
    """Each example's losses are those of a batch that holds nothing else."""
    setting = Setting(*sizes)
    whole = torch.stack(setting.losses())
    for b in range(sizes[1]):
        alone = Setting(*sizes)
        alone.logits, alone.log_teacher = setting.logits[b : b + 1], setting.log_teacher[b : b + 1]
        for name in ("target", "data"):
            full = getattr(setting, name)
            part = (x[b : b + 1] for x in (full.atoms, full.weights, full.log_marginals))
            setattr(alone, name, Target(*part))
        torch.testing.assert_close(torch.stack(alone.losses())[:, 0], whole[:, b], **TIGHT)


@given(SETTINGS)
def test_losses_ignore_the_names_of_latents_and_dimensions(sizes):
    setting = Setting(*sizes)
    expected = torch.stack(setting.losses())
    latents = torch.randperm(sizes[2], generator=setting.generator)
    dims = torch.randperm(sizes[3], generator=setting.generator)
    setting.logits = setting.logits[:, latents][:, :, dims]
    setting.log_weights = setting.log_weights[latents]
    setting.log_teacher = setting.log_teacher[:, dims]
    for name in ("target", "data"):
        full = getattr(setting, name)
        moved = Target(full.atoms[..., dims], full.weights, full.log_marginals[:, dims])
        setattr(setting, name, moved)
    torch.testing.assert_close(torch.stack(setting.losses()), expected, **TIGHT)


@given(SETTINGS)
def test_a_latent_split_in_two_changes_nothing(sizes):
    setting = Setting(*sizes)
    expected = torch.stack(setting.losses())
    setting.logits = torch.cat([setting.logits, setting.logits[:, :1]], 1)
    shares = torch.tensor([0.3, 0.7], dtype=torch.float64).log() + setting.log_weights[0]
    setting.log_weights = torch.cat([shares[:1], setting.log_weights[1:], shares[1:]])
    torch.testing.assert_close(torch.stack(setting.losses()), expected, **TIGHT)


@given(SETTINGS)
def test_without_use_of_the_latent_there_is_no_correlation(sizes):
    setting = Setting(*sizes)
    setting.logits = setting.logits[:, :1].expand_as(setting.logits)
    student = setting.student
    assert consistency_loss(student, setting.target).correlation.abs().max() < 1e-12
    surrogate = distillation_loss(student, setting.log_teacher)
    exact = consistency_loss(student, setting.target).marginal  # the teacher is the target's law
    torch.testing.assert_close(surrogate, exact, **TIGHT)


@given(SETTINGS)
def test_surrogate_bounds_the_divergence_of_the_marginals(sizes):
    setting = Setting(*sizes)
    surrogate = distillation_loss(setting.student, setting.log_teacher)
    assert (surrogate - data_loss(setting.student, setting.data).marginal).min() > -1e-12


@given(SETTINGS)
def test_split_adds_the_product_law_and_takes_it_back(sizes):
    """split - plain = E_r[log pbar(x)] + marginal, both of the product law pbar alone."""
    setting = Setting(*sizes)
    split = consistency_loss(setting.student, setting.target)
    plain = consistency_loss(setting.student, setting.target, control_variate=False)
    product = DenseMixture(
        setting.student.log_marginals()[:, None], torch.zeros(1, dtype=torch.float64)
    )
    of_product = consistency_loss(product, setting.target, control_variate=False)
    torch.testing.assert_close(
        split.correlation - plain.correlation, -of_product.correlation, **TIGHT
    )
    assert (plain.marginal == 0).all()
    torch.testing.assert_close(split.total, split.correlation + split.marginal, rtol=0, atol=0)


@given(SETTINGS)
def test_samples_weigh_the_same(sizes):
    setting = Setting(*sizes)
    samples = Target.from_samples(setting.target.atoms, setting.log_teacher)
    each = [
        Target.from_samples(setting.target.atoms[:, n : n + 1], setting.log_teacher)
        for n in range(sizes[5])
    ]
    mean = torch.stack([consistency_loss(setting.student, t).correlation for t in each]).mean(0)
    found = consistency_loss(setting.student, samples).correlation
    torch.testing.assert_close(found, mean, **TIGHT)


@given(SETTINGS)
def test_no_gradient_reaches_the_target(sizes):
    setting = Setting(*sizes)
    setting.log_teacher.requires_grad_()
    setting.target.weights.requires_grad_()
    assert not any(loss.requires_grad for loss in setting.losses())


@given(SETTINGS)
def test_prefetched_losses_are_the_same(sizes):
    setting = Setting(*sizes)
    head = FunctionHead(lambda rows: rows, sizes[4])
    student = HeadMixture(setting.logits, head, setting.log_weights)
    ready = prefetch(student, [setting.target, setting.data], [setting.log_teacher])
    assert type(ready) is not type(student)
    expected = torch.stack(setting.losses())
    torch.testing.assert_close(torch.stack(setting.losses(ready)), expected, **TIGHT)
    dense = setting.student
    assert prefetch(dense, [setting.target]) is dense


def test_target_of_a_mixture_has_one_draw_for_each_latent():
    setting = Setting(0, 2, 3, 4, 5, 1)
    target = Target.from_mixture(setting.student, torch.Generator().manual_seed(1))
    again, marginals = setting.student.draw(torch.Generator().manual_seed(1))
    assert target.atoms.tolist() == again.tolist()
    assert target.weights.tolist() == [setting.log_weights.exp().tolist()] * 2
    torch.testing.assert_close(target.log_marginals, marginals, rtol=0, atol=0)


def _masked_student(*rows):
    """Latents over two coordinates of two states, with true zeros."""
    log_probs = torch.tensor([rows], dtype=torch.float64).log().requires_grad_()
    return log_probs, DenseMixture(log_probs, uniform_log_weights(len(rows)))


def _target(atoms, weights, marginals):
    return Target(
        torch.tensor([atoms]),
        torch.tensor([weights], dtype=torch.float64),
        torch.tensor([marginals], dtype=torch.float64).log(),
    )


def test_atoms_without_weight_do_not_count_even_if_impossible():
    log_probs, student = _masked_student([[1, 0], [0.5, 0.5]], [[1, 0], [1, 0]])
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
    """Excluded by every latent at one coordinate: the marginal part is infinite, not NaN."""
    log_probs, student = _masked_student([[1, 0], [0.5, 0.5]], [[1, 0], [1, 0]])
    target = _target([[0, 0], [1, 0]], [0.5, 0.5], [[0.5, 0.5], [1, 0]])
    terms = consistency_loss(student, target)
    assert terms.correlation.isfinite().all()
    assert terms.marginal.item() == math.inf
    plain = consistency_loss(student, target, control_variate=False)
    assert plain.correlation.item() == math.inf
    for loss in (terms.total, plain.total):
        (grad,) = torch.autograd.grad(loss.sum(), log_probs)
        assert grad.isfinite().all()


def test_latents_that_exclude_an_atom_each_elsewhere_cost_infinite_correlation():
    log_probs, student = _masked_student([[1, 0], [0, 1]], [[0, 1], [1, 0]])
    target = _target([[0, 0]], [1.0], [[0.5, 0.5], [0.5, 0.5]])
    terms = consistency_loss(student, target)
    assert terms.correlation.item() == math.inf
    assert terms.marginal.item() == pytest.approx(0, abs=1e-15)
    (grad,) = torch.autograd.grad(terms.total.sum(), log_probs)
    assert grad.isfinite().all()


def test_sums_of_hundreds_of_log_probabilities_stay_apart():
    """exp of a sum over 1000 coordinates underflows; the mixture's likelihood does not."""
    log_probs = torch.full((1, 2, 1000, 3), -1.0, dtype=torch.float64).log_softmax(-1)
    student = DenseMixture(log_probs.float(), uniform_log_weights(2))
    loss = data_loss(student, Target.from_samples(torch.zeros(1, 1, 1000, dtype=torch.long)), False)
    assert loss.total.item() == pytest.approx(1000 * math.log(3), rel=1e-6)


SETTING = Setting(0, 2, 3, 4, 5, 2)
ATOMS, WEIGHTS = SETTING.target.atoms, SETTING.target.weights
BAD = {
    "weights": (
        lambda: Target(ATOMS, 2 * WEIGHTS),
        "weights must be non-negative and sum to 1; the sum is 2, .*divide by the sum",
    ),
    "negative weights": (
        lambda: Target(ATOMS, torch.tensor([[2.0, -1.0]] * 2)),
        "weights must be non-negative and sum to 1; the sum is 1, the smallest -1",
    ),
    "nan weights": (lambda: Target(ATOMS, math.nan * WEIGHTS), "weights must .* sum is nan"),
    "other weights": (
        lambda: Target(ATOMS, WEIGHTS[:, :1]),
        r"weights must have shape \(batch, atom\) = \(2, 2\); got \(2, 1\)",
    ),
    "marginals": (
        lambda: Target(ATOMS, WEIGHTS, SETTING.log_teacher.exp()),
        "log_marginals must be log-probabilities",
    ),
    "nan marginals": (
        lambda: Target(
            ATOMS, WEIGHTS, SETTING.log_teacher.index_fill(1, torch.tensor(3), math.nan)
        ),
        r"log_marginals is nan at index \[0, 3, 0\]: look for an overflow",
    ),
    "nan logits": (
        lambda: DenseMixture.from_logits(
            torch.zeros(1, 2, 3, 4).index_fill(2, torch.tensor(1), math.nan), uniform_log_weights(2)
        ),
        r"logits is nan at index \[0, 0, 1, 0\]: look for an overflow",
    ),
    "no atoms": (
        lambda: Target.from_samples(torch.zeros(2, 0, 4, dtype=torch.long)),
        r"samples must have shape .*got \(2, 0, 4\)",
    ),
    "no marginals": (
        lambda: consistency_loss(SETTING.student, Target(ATOMS, WEIGHTS)),
        "log_marginals of the target is None: .*control_variate=False",
    ),
    "atoms of another vocabulary": (
        lambda: consistency_loss(SETTING.student, Target(ATOMS + 5, WEIGHTS, SETTING.log_teacher)),
        r"atoms must be states in 0..4; got [5-9] at index \[0, 0, 0\]",
    ),
    "a teacher of another S": (
        lambda: distillation_loss(SETTING.student, SETTING.log_teacher[..., :4]),
        r"log_target must have shape .* = \(2, 4, 5\); got \(2, 4, 4\)",
    ),
    "a teacher of another D": (
        lambda: data_loss(
            SETTING.student, Target.from_samples(ATOMS[..., :3], SETTING.log_teacher[:, :3])
        ),
        r"atoms must have shape .* = \(2, any, 4\); got \(2, 2, 3\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named(name, as_installed):
    assert_refused(*BAD[name])


def test_terms_add_up():
    terms = LossTerms(torch.tensor([1.0, 2.0]), torch.tensor([0.5, -1.0]))
    assert terms.total.tolist() == [1.5, 1.0]
