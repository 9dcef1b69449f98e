"""From a violation in floats to a simple one in exact numbers.

Inputs are rounded to rationals, the simplest first. What survives is simplified further, one input
at a time, as long as a quarter of the violation remains.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import Tensor

from theory.lab.arithmetic import Number
from theory.lab.conjecture import Conjecture, sign
from theory.lab.inputs import Rounding, Setting

KEPT = 0.25  # of the violation in floats, which a simpler case must keep


@dataclass(frozen=True)
class Case:
    """Inputs at which the conjecture was evaluated in exact numbers.

    Attributes:
        setting: S, D, N, noise and schedule.
        inputs: the exact inputs by name, as Python that one can paste.
        left: left side, exact.
        right: right side, exact.
    """

    setting: Setting
    inputs: dict[str, str]
    left: Number
    right: Number

    @property
    def margin(self) -> Number:
        """Right minus left; negative if the case refutes the conjecture."""
        return self.right - self.left

    @property
    def relative(self) -> float:
        """(right - left) / (|left| + |right|), about; the margin itself if one side is 0."""
        left, right = float(self.left), float(self.right)
        ratio = (right - left) / (abs(left) + abs(right) if left and right else 1.0)
        return math.copysign(1.0, right - left) if math.isnan(ratio) else ratio


def roundings() -> Iterator[Rounding]:
    """Ways to round a number to a rational, the simplest first; the last one is exact."""
    for q in (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 50, 100):
        yield lambda value, q=q: Fraction(round(value * q), q)
    for digits in (1, 2, 4, 8):
        yield lambda value, digits=digits: Fraction(f"{value:.{digits}e}")
    yield Fraction


def simplest(conjecture: Conjecture, setting: Setting, free: Sequence[Tensor]) -> Case | None:
    """The simplest rational inputs nearby that violate the conjecture; None if none does.

    If no rounding keeps a quarter of the violation, the worst one is taken.
    """
    values = conjecture.values(setting, [part.detach() for part in free])
    left, right = (float(side) for side in conjecture.sides(setting, values))
    enough = KEPT * Case(setting, {}, left, right).relative
    worst: tuple[Case, list[Any]] | None = None
    for rounding in roundings():
        exact = _round(conjecture, setting, values, rounding)
        case = exact and exact_case(conjecture, setting, exact)
        if not (exact and case) or sign(case.margin) != -1:
            continue
        if worst is None or case.relative < worst[0].relative:
            worst = case, exact
        if case.relative <= enough:
            break
    if worst is None:
        return None
    return _simplified(conjecture, values, *worst, max(enough, worst[0].relative))


def _simplified(
    conjecture: Conjecture, values: Sequence[Any], case: Case, exact: list[Any], enough: float
) -> Case:
    """The case with each input in turn rounded as much as possible; none may lose too much."""
    for k, (kind, value) in enumerate(zip(conjecture.inputs.values(), values, strict=True)):
        for rounding in roundings():
            simpler = kind.rounded(case.setting, value, rounding)
            if simpler is None:
                continue
            if len(kind.shown(simpler)) >= len(kind.shown(exact[k])):
                break
            tried = [*exact[:k], simpler, *exact[k + 1 :]]
            new = exact_case(conjecture, case.setting, tried)
            if new and sign(new.margin) == -1 and new.relative <= enough:
                case, exact = new, tried
                break
    return case


def rounded_case(conjecture: Conjecture, setting: Setting, free: Sequence[Tensor]) -> Case | None:
    """The case with every number rounded to thousandths, or else to three digits, exactly."""
    values = conjecture.values(setting, [part.detach() for part in free])

    def thousandths(value: float) -> Fraction:
        return Fraction(round(1000 * value), 1000)

    def digits(value: float) -> Fraction:
        return Fraction(f"{value:.2e}")

    for rounding in (thousandths, digits):
        exact = _round(conjecture, setting, values, rounding)
        case = exact and exact_case(conjecture, setting, exact)
        if case:
            return case
    return None


def _round(
    conjecture: Conjecture, setting: Setting, values: Sequence[Any], rounding: Rounding
) -> list[Any] | None:
    """All inputs in exact numbers, None if one of them is not valid after rounding."""
    pairs = zip(conjecture.inputs.values(), values, strict=True)
    exact = [kind.rounded(setting, value, rounding) for kind, value in pairs]
    return None if any(value is None for value in exact) else exact


def exact_case(conjecture: Conjecture, setting: Setting, exact: Sequence[Any]) -> Case | None:
    """Evaluate at exact inputs; None if the conjecture divides by a zero there."""
    pairs = zip(conjecture.inputs.items(), exact, strict=True)
    shown = {name: kind.shown(value) for (name, kind), value in pairs}
    try:
        return Case(setting, shown, *conjecture.exact_sides(setting, exact))
    except ValueError as problem:
        if isinstance(problem.__cause__, ZeroDivisionError):
            return None
        raise
