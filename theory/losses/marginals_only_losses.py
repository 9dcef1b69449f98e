r"""The losses of Di4C tell apart what continuous-time losses cannot: equal marginals, two joints.

A mixture student and the product of its marginals have the same continuous-time loss
(`marginals_only`) and the same marginal terms. Their L_datapred, L_distil and L_consis differ. For
a student whose joint is the true posterior $q_{0|t}$, against the product of its marginals,

$$L_{datapred}(\mathrm{product}) - L_{datapred}(\mathrm{joint})
  = \mathbb{E}_{x_t \sim q_t}\, \mathrm{TC}\big(q_{0|t}(\cdot \mid x_t)\big),$$

for masked HALF with the linear schedule $t^2 \log 2$: the loss measures the very correlation that a
product model lacks. Exact, by the library's losses with all of S^D as atoms.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from di4c import exact
from di4c.exact.laws import infer_num_dims
from di4c.likelihood import DenseMixture
from di4c.losses import LossTerms, Target, consistency_loss, data_loss
from di4c.processes import ForwardProcess, MaskedProcess, UniformProcess
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import random_law


@dataclass(frozen=True)
class Setting:
    """A process, its data, and times s = 0 < u < t."""

    process: ForwardProcess
    q_0: Tensor
    u: float
    t: float

    @property
    def num_dims(self) -> int:
        """D."""
        return infer_num_dims(len(self.q_0), self.process.num_values)

    def target(self, laws: Tensor) -> Target:
        """A law on all of S^D for each x_t as the target of a loss; laws (n, n)."""
        marginals = exact.marginals(laws, self.num_dims, self.process.num_states)
        atoms = exact.states(self.num_dims, self.process.num_states)
        return Target(atoms.expand(len(laws), -1, -1), laws, marginals.log())

    def mean(self, values: Tensor, t: float) -> float:
        """Expectation over x_t ~ q_t of one value per state."""
        law = exact.forward_law(self.process, self.q_0, t)
        return (law @ torch.where(law > 0, values, 0.0)).item()


@dataclass(frozen=True)
class TableStudent:
    """A mixture for every x_t: weights (L,), components (L, n, D, S) at times u and t."""

    weights: Tensor
    at_u: Tensor
    at_t: Tensor

    def product_of_marginals(self) -> "TableStudent":
        """The model with the same marginals and independent coordinates."""
        at_u, at_t = (
            torch.tensordot(self.weights, table, 1)[None] for table in (self.at_u, self.at_t)
        )
        return TableStudent(torch.ones(1, dtype=torch.float64), at_u, at_t)

    def mixture(self, table: Tensor) -> DenseMixture:
        """As the losses take it, one example per x_t."""
        return DenseMixture(table.transpose(0, 1).log(), self.weights.log())

    def kernel(self, table: Tensor) -> Tensor:
        """[x_t, x_0], dense."""
        return torch.tensordot(self.weights, exact.product_law(table), 1)


def data_prediction(setting: Setting, student: TableStudent) -> LossTerms:
    r"""$L_{datapred}$ at t, split; one value per x_t."""
    target = setting.target(exact.reverse_kernel(setting.process, setting.q_0, 0.0, setting.t))
    return data_loss(student.mixture(student.at_t), target)


def distillation(setting: Setting, student: TableStudent) -> LossTerms:
    r"""$L_{distil}$ at u from the exact product teacher, split; one value per x_u."""
    teacher = exact.posterior_marginals(setting.process, setting.q_0, 0.0, setting.u)
    return consistency_loss(
        student.mixture(student.at_u), setting.target(exact.product_law(teacher))
    )


def consistency(setting: Setting, student: TableStudent) -> LossTerms:
    r"""$L_{consis}(q_t, 0, u, t)$ with the student's own target, split; one value per x_t."""
    teacher = exact.posterior_marginals(setting.process, setting.q_0, setting.u, setting.t)
    laws = exact.product_kernel(teacher) @ student.kernel(student.at_u)
    return consistency_loss(student.mixture(student.at_t), setting.target(laws))


def settings() -> Iterator[tuple[str, Setting]]:
    """Masked and uniform processes, D = 2 and 3."""
    generator = torch.Generator().manual_seed(0)
    for (name, process), num_dims in itertools.product(
        (("masked", MaskedProcess(2)), ("uniform", UniformProcess(2))), (2, 3)
    ):
        q_0 = random_law(generator, process.num_values**num_dims, spread=1.5)
        yield f"{name}, D={num_dims}", Setting(process, q_0, 0.5, 0.8)


def random_student(setting: Setting, seed: int) -> TableStudent:
    """Three latents; a coordinate that determines x_0 is carried over."""
    generator = torch.Generator().manual_seed(seed)
    process, num_dims = setting.process, setting.num_dims
    x = exact.states(num_dims, process.num_states).expand(3, -1, -1)
    tables = []
    for time in (setting.u, setting.t):
        probs = random_law(generator, *x.shape, process.num_values, spread=3.0)
        tables.append(process.reverse(probs, x, 0.0, time))
    return TableStudent(random_law(generator, 3), *tables)


def half_student() -> TableStudent:
    """The true posterior of masked HALF: copy what is seen, else the latent decides for both."""
    x = exact.states(2, 3)
    other = x.flip(1)
    guesses = [torch.where(x < 2, x, torch.where(other < 2, other, latent)) for latent in (0, 1)]
    table = torch.stack([torch.nn.functional.one_hot(guess, 3).double() for guess in guesses])
    return TableStudent(torch.full((2,), 0.5, dtype=torch.float64), table, table)


def literal_loss(laws: Tensor, student: Tensor, num_dims: int) -> Tensor:
    """KL(law || student) - TC(law) row by row in plain Python: the whole loss, (n,)."""
    size = round(len(laws) ** (1 / num_dims))
    values = []
    for law, row in zip(laws.tolist(), student.tolist(), strict=True):
        target = oracle.law_from(law, num_dims, size)
        divergence = oracle.kl(target, oracle.law_from(row, num_dims, size))
        values.append(divergence - oracle.total_correlation(target))
    return torch.tensor(values, dtype=torch.float64)


def _literal_consistency(setting: Setting, student: TableStudent) -> float:
    teacher = exact.posterior_marginals(setting.process, setting.q_0, setting.u, setting.t)
    laws = exact.product_kernel(teacher) @ student.kernel(student.at_u)
    values = literal_loss(laws, student.kernel(student.at_t), setting.num_dims)
    return setting.mean(values, setting.t)


@claim(
    "marginals-only-di4c",
    "L_datapred, L_distil, L_consis differ between joints with equal marginals",
    group="paper",
    source="Losses",
    hypotheses="mixture against the product of its marginals; marginal terms agree",
)
def verify_separated(record: Record) -> None:
    for k, (what, setting) in enumerate(settings()):
        joint = random_student(setting, seed=k)
        product = joint.product_of_marginals()
        for loss, time in ((data_prediction, setting.t), (distillation, setting.u)):
            name = f"{loss.__name__}, {what}"
            a, b = loss(setting, joint), loss(setting, product)
            difference = (a.marginal - b.marginal).abs().nan_to_num().max().item()
            record.equal(difference, 0.0, 1e-12, f"marginal part, {name}")
            record.equal(b.correlation.abs().max().item(), 0.0, 1e-13, f"product, {name}")
            gap = abs(setting.mean(a.total, time) - setting.mean(b.total, time))
            record.exceeds(gap, 0.0, 1e-3, f"whole loss, {name}")
        totals = [
            setting.mean(consistency(setting, student).total, setting.t)
            for student in (joint, product)
        ]
        record.exceeds(abs(totals[0] - totals[1]), 0.0, 0.01, f"consistency, {what}")
        for total, student in zip(totals, (joint, product), strict=True):
            literal = _literal_consistency(setting, student)
            record.equal(total, literal, 1e-12, f"consistency against loops, {what}")


def conditional_entropy(setting: Setting) -> float:
    r"""$H(x_0 \mid x_t) = H(x_0) + H(x_t \mid x_0) - H(x_t)$: the loss of the true joint."""
    noise = setting.process.transition(0.0, setting.t)[: setting.process.num_values]
    single = exact.marginals(setting.q_0, setting.num_dims, setting.process.num_values)
    noised = exact.forward_law(setting.process, setting.q_0, setting.t)
    forward = (single @ exact.entropy(noise)).sum()
    return (exact.entropy(setting.q_0) + forward - exact.entropy(noised)).item()


@claim(
    "marginals-only-total-correlation",
    "L_datapred(product) - L_datapred(true joint) = E TC(q_(0|t)); HALF t^2 log 2",
    group="beyond",
    source="this project",
    hypotheses="product with the true marginals; masked and uniform, D = 2, 3",
)
def verify_total_correlation(record: Record) -> None:
    for what, setting in settings():
        process, size = setting.process, setting.process.num_states
        for t in (0.1, 0.4, 0.9):
            at = Setting(process, setting.q_0, t / 2, t)
            laws = exact.reverse_kernel(process, setting.q_0, 0.0, t)
            table = exact.marginals(laws, setting.num_dims, size)[None]
            product = TableStudent(torch.ones(1, dtype=torch.float64), table, table)
            terms = data_loss(product.mixture(table), at.target(laws), control_variate=False)
            gap = at.mean(terms.total, t) - conditional_entropy(at)
            correlation = at.mean(exact.total_correlation(laws, setting.num_dims, size), t)
            record.equal(gap, correlation, 1e-12, f"{what}, t={t}")
    half = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for t in (0.25, 0.5, 0.9):
        setting = Setting(MaskedProcess(2), half, t / 2, t)
        joint = half_student()
        losses = [
            setting.mean(data_prediction(setting, student).total, t)
            for student in (joint.product_of_marginals(), joint)
        ]
        record.equal(losses[0] - losses[1], t**2 * math.log(2), 1e-14, f"masked HALF, t={t}")
