r"""The control variate in the data term has a wrong minimiser unless the teacher is exact.

The published data term compares the student p with one data point and with the teacher's marginals
$r^d$. $\bar p$ is the product of the student's marginals, $\alpha$ the weight of the first part:

$$\mathcal L = \alpha\, \mathbb E_{\mathrm{data}}[-\log p + \log \bar p]
  + \sum_d \mathrm{KL}(r^d \| \bar p^d).$$

The control variate is unbiased only if $r^d$ are the marginals of the data law. A learned teacher
has others. Three consequences, none of them in the paper:

* Two modes, 00..0 with weight $1 - w$ and 11..1 with weight $w$. The teacher gives every coordinate
  the marginal $w'$. The student is the mixture of the two modes with weight $\varepsilon$. Then
  $\varepsilon^* = (D w' - \alpha (D-1) w) / (D - \alpha (D-1))$ minimises the loss. At
  $\alpha = 1$ the teacher's error $w' - w$ is multiplied by D.
* If $D w' < \alpha (D-1) w$ the loss has no minimum: it falls without bound as
  $\varepsilon \to 0$.
* Finite data: a noisy state is seen with a single $x_0$. The student gives $x_0$ a component of
  weight $\varepsilon$. The loss falls without bound as $\varepsilon \to 0$ as soon as
  $\alpha (D - 1) > \sum_d r^d(x_0^d)$. At $\alpha = 1$ this reads
  $\sum_d (1 - r^d(x_0^d)) > 1$.

The consistency term is safe. Its target is a law whose own marginals are known exactly, so the loss
is $\mathrm{KL}(r \| p) - \mathrm{TC}(r)$ and its minimum is at $p = r$.
"""

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction

import torch
from scipy.optimize import brentq
from torch import Tensor

from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss, data_loss
from theory.claim import Record, claim
from theory.tools import oracle
from theory.tools.finite_mixture import as_dict, as_target, random_law, random_mixture

TWO_MODES = [(2, 0.5, 0.4), (4, 0.3, 0.35), (16, 0.5, 0.49), (64, 0.5, 0.495)]
"""(D, weight of the second mode in the data, the teacher's marginal)."""


def minimiser(num_dims: int, w: Fraction, marginal: Fraction, alpha: Fraction) -> Fraction:
    """The closed form of the weight that minimises the two-mode loss; negative if none does."""
    return (num_dims * marginal - alpha * (num_dims - 1) * w) / (num_dims - alpha * (num_dims - 1))


def two_mode_loss(
    num_dims: int, w: float, marginal: float, alpha: float, log_weight: Tensor | float
) -> Tensor:
    """The library's data loss of the two-mode student, averaged over the two data points.

    Args:
        num_dims: D.
        w: weight of the mode 11..1 in the data.
        marginal: the teacher's probability of a one, the same for every coordinate.
        alpha: weight of the correlation part.
        log_weight: logarithm of the student's weight of the mode 11..1.
    """
    log_probs = torch.eye(2, dtype=torch.float64).log()[:, None].expand(-1, num_dims, -1)
    log_weight = torch.as_tensor(log_weight, dtype=torch.float64)
    log_weights = torch.stack([torch.log1p(-log_weight.exp()), log_weight])
    student = DenseMixture(log_probs.expand(2, -1, -1, -1), log_weights)
    x_0 = torch.tensor([[0], [1]]).expand(-1, num_dims)
    row = torch.tensor([1 - marginal, marginal], dtype=torch.float64).log()
    terms = data_loss(student, Target.from_samples(x_0[:, None], row.expand(2, num_dims, -1)))
    per_example = alpha * terms.correlation + terms.marginal
    return per_example @ torch.tensor([1 - w, w], dtype=torch.float64)


def library_slope(num_dims: int, w: float, marginal: float, alpha: float, e: float) -> float:
    """The derivative of the library's loss in the student's weight e of the mode 11..1."""
    weight = torch.tensor(e, dtype=torch.float64, requires_grad=True)
    loss = two_mode_loss(num_dims, w, marginal, alpha, weight.log())
    return torch.autograd.grad(loss, weight)[0].item()


def slope(num_dims: int, w: Fraction, marginal: Fraction, alpha: Fraction, e: Fraction) -> Fraction:
    """The derivative of the two-mode loss in the student's weight, term by term in rationals."""

    def of_cross_entropy(first: Fraction) -> Fraction:
        return -first / e + (1 - first) / (1 - e)

    joint = of_cross_entropy(w)  # of E[-log p]
    product = -num_dims * of_cross_entropy(w)  # of E[log p-bar]
    return alpha * (joint + product) + num_dims * of_cross_entropy(marginal)


def hidden_data_loss(row: list[float], num_dims: int, alpha: float, log_weight: float) -> float:
    """The library's data loss at one x_0 = 00..0 that the student hides in a small component.

    Component 0 is x_0 itself and has the given log-weight. Component 1 never shows the value 0 and
    has the teacher's law of the other values. `row` is the teacher's law of one coordinate.
    """
    others = torch.tensor([0.0, *row[1:]], dtype=torch.float64)
    rows = torch.stack([torch.eye(len(row), dtype=torch.float64)[0], others / others.sum()])
    log_probs = rows.log()[None, :, None].expand(1, 2, num_dims, -1)
    log_weights = torch.tensor([log_weight, math.log1p(-math.exp(log_weight))]).double()
    x_0 = torch.zeros(1, 1, num_dims, dtype=torch.long)
    log_teacher = torch.tensor(row, dtype=torch.float64).log().expand(1, num_dims, -1)
    terms = data_loss(DenseMixture(log_probs, log_weights), Target.from_samples(x_0, log_teacher))
    return float(alpha * terms.correlation + terms.marginal)


@claim(
    "data-term-minimiser",
    "With a teacher's marginal w' the data term is least at (D w' - alpha (D-1) w) / (D - alpha "
    "(D-1)), not at w.",
    group="beyond",
    source="this project",
    hypotheses="data and student have two modes, 00..0 and 11..1, the second with weight w in the "
    "data. The closed form must lie in (0, 1)",
)
def verify_minimiser(record: Record) -> None:
    """The derivative vanishes there: in rationals, and of the library's loss by autograd."""
    for (num_dims, w, marginal), alpha in itertools.product(TWO_MODES, (0.0, 0.1, 0.5, 0.8, 1.0)):
        exact = [Fraction(str(v)) for v in (w, marginal, alpha)]
        best = minimiser(num_dims, *exact)
        if not 0 < best < 1:
            continue
        what = f"D = {num_dims}, w = {w}, w' = {marginal}, alpha = {alpha}"
        record.vanishes(slope(num_dims, *exact, best), 0, f"slope, {what}")
        case = (num_dims, w, marginal, alpha)
        found = brentq(lambda e, case=case: library_slope(*case, e), 1e-6, 1 - 1e-6, xtol=1e-13)
        record.equal(found, float(best), 1e-10, f"minimum of the library's loss, {what}")


@claim(
    "data-term-factor",
    "At alpha = 1 the minimiser of the data term has D times the error of the teacher: e* - w = D "
    "(w' - w).",
    group="beyond",
    source="this project",
    hypotheses="two modes as in data-term-minimiser, in rationals, any D, w, w'",
)
def verify_factor(record: Record) -> None:
    """The rational slope is negative below w + D (w' - w), 0 there and positive above."""
    for num_dims, (numerator, off) in itertools.product((2, 3, 8, 64), ((3, 1), (5, -1), (6, 2))):
        w = Fraction(numerator, 10)
        marginal = w + Fraction(off, 100 * num_dims)
        predicted = w + num_dims * (marginal - w)
        what = f"D = {num_dims}, w = {w}, w' = {marginal}"
        below, above = predicted * Fraction(999, 1000), predicted * Fraction(1001, 1000)
        record.vanishes(slope(num_dims, w, marginal, Fraction(1), predicted), 0, f"zero, {what}")
        record.exceeds(0, slope(num_dims, w, marginal, Fraction(1), below), 0, f"falls, {what}")
        record.exceeds(slope(num_dims, w, marginal, Fraction(1), above), 0, 0, f"rises, {what}")


UNBOUNDED = [(4, 0.5, 0.3, 1.0), (16, 0.5, 0.4, 1.0), (64, 0.5, 0.49, 1.0), (16, 0.5, 0.2, 0.5)]
"""(D, w, w', alpha) with D w' < alpha (D - 1) w."""


@claim(
    "data-term-unbounded",
    "False in general: the data term with its control variate is bounded below. With two modes it "
    "is not as soon as D w' < alpha (D-1) w.",
    group="fails",
    source="this project",
    hypotheses="two modes as in data-term-minimiser; D = 4, 16, 64",
)
def verify_unbounded(record: Record) -> None:
    """Each factor e^-50 of the hidden mode's weight lowers the loss by the predicted amount."""
    for num_dims, w, marginal, alpha in UNBOUNDED:
        rate = alpha * (num_dims - 1) * w - num_dims * marginal
        losses = [
            two_mode_loss(num_dims, w, marginal, alpha, -50.0 * k).item() for k in (1, 2, 4, 8, 12)
        ]
        what = f"D = {num_dims}, w = {w}, w' = {marginal}, alpha = {alpha}"
        for (k, high), (m, low) in itertools.pairwise(zip((1, 2, 4, 8, 12), losses, strict=True)):
            fall = (high - low) / (50 * (m - k))
            record.equal(fall, rate, 1e-9, f"fall per unit of -log weight, {what}, {k} to {m}")
        record.exceeds(0, losses[-1], 50, f"loss below -50, {what}")


def hidden_cases() -> Iterator[tuple[list[float], int, float]]:
    """(the teacher's law of a coordinate, D, alpha) on both sides of the threshold."""
    for p, num_dims, alpha in itertools.product(
        (0.05, 0.5, 0.9, 0.97), (2, 4, 16, 32), (0.1, 0.5, 1.0)
    ):
        yield [p, 0.6 * (1 - p), 0.4 * (1 - p)], num_dims, alpha


@claim(
    "data-term-finite-data",
    "On finite data, one x_0 for a noisy state, the data term is unbounded below iff alpha (D-1) > "
    "sum_d r^d(x_0^d).",
    group="beyond",
    source="this project",
    hypotheses="r^d are the teacher's marginals; the student hides x_0 in a component of vanishing "
    "weight. At alpha = 1 the condition is sum_d (1 - r^d(x_0^d)) > 1",
)
def verify_finite_data(record: Record) -> None:
    """The rate of the loss in the log-weight, and its sign."""
    for row, num_dims, alpha in hidden_cases():
        rate = alpha * (num_dims - 1) - num_dims * row[0]
        losses = [hidden_data_loss(row, num_dims, alpha, -100.0 * k) for k in (1, 2, 4)]
        what = f"r(x_0) = {row[0]}, D = {num_dims}, alpha = {alpha}"
        for k in (0, 1):
            fall = (losses[k] - losses[k + 1]) / (100 * 2**k)
            record.equal(fall, rate, 1e-9, f"fall per unit of -log weight, {what}")
        if rate > 0:
            record.exceeds(losses[0], losses[2], 299 * rate, f"falls without bound, {what}")
        else:
            record.exceeds(losses[2], losses[0], -299 * rate - 1e-9, f"rises, {what}")


@claim(
    "data-term-safe-target",
    "If r^d are the target's own marginals, the split loss is KL(r || p) - TC(r): bounded, least "
    "at p = r.",
    group="sharper",
    source="Control variate; the contrast to the data term: this project",
    hypotheses="the consistency term; any target r, any student p",
)
def verify_safe(record: Record) -> None:
    """The library's loss against loops: above -TC(r), and equal to it where the student is r."""
    generator = torch.Generator().manual_seed(0)
    for k, (num_dims, num_states) in itertools.product(range(12), ((2, 2), (3, 2), (2, 3))):
        law = random_law(generator, num_states**num_dims)
        r = as_dict(law, num_dims, num_states)
        least = -oracle.total_correlation(r)
        student = random_mixture(generator, 3, num_dims, num_states, spread=(0.2, 1, 4)[k % 3])
        target = as_target(law, num_dims, num_states)
        total = consistency_loss(student.as_student(), target).total.item()
        record.equal(total - least, oracle.kl(r, student.literal()), 1e-11, f"KL - TC, #{k}")
        record.exceeds(total, least, 1e-6, f"another student, #{k}")
        points = torch.eye(num_states, dtype=torch.float64)[target.atoms[0]].log()
        perfect = DenseMixture(points[None], law.log())
        record.equal(consistency_loss(perfect, target).total.item(), least, 1e-12, f"p = r, #{k}")
