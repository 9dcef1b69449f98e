"""The comparisons of one claim: how many there are, which could have failed, and which did."""

import math
from dataclasses import dataclass, field

Number = float  # whatever float() accepts: Fraction, 0-d tensor, midpoint of an interval


@dataclass
class Record:
    """Counts the comparisons of one claim and keeps the worst of each kind; NaN is left out.

    A comparison that cannot fail says nothing: 0 = 0, 0 <= 0 (both up to the allowed rounding), or
    a total variation distance between a number below 0 and one above 1. Such comparisons are not
    informative. A claim needs others.

    Attributes:
        cases: number of comparisons.
        informative: number of comparisons that could have failed.
        worst_deviation: largest |left - right| among the identities, None if there are none.
        least_slack: smallest margin among the inequalities, None if there are none. The margin of
            left <= right is right - left; that of left > right + by is left - right - by.
        failures: one line for each comparison that failed.
        worst_failure: the line of the comparison that failed by most, or of an exception.
    """

    cases: int = 0
    informative: int = 0
    worst_deviation: float | None = None
    least_slack: float | None = None
    failures: list[str] = field(default_factory=list)
    worst_failure: str | None = None
    _worst_excess: float = 0.0

    def equal(self, left: Number, right: Number, tolerance: float, what: str) -> None:
        """Compare left = right up to an absolute tolerance (0 for rational numbers).

        It is informative unless both sides are 0 up to the tolerance. `vanishes` is for a statement
        that a number is 0.
        """
        self._equality(left, right, tolerance, what, not _vanish(tolerance, left, right))

    def vanishes(self, value: Number, tolerance: float, what: str) -> None:
        """Compare value = 0 up to an absolute tolerance, where the claim says that it is 0."""
        self._equality(value, 0, tolerance, what, True)

    def _equality(
        self, left: Number, right: Number, tolerance: float, what: str, informative: bool
    ) -> None:
        deviation = float(abs(left - right))
        self.worst_deviation = max(self.worst_deviation or 0.0, deviation)
        message = f"{what}: {left} != {right}, off by {deviation:.3g}"
        self._count(deviation <= tolerance, deviation - tolerance, message, informative)

    def at_most(
        self,
        left: Number,
        right: Number,
        what: str,
        rounding: float = 0.0,
        largest: float = math.inf,
        smallest: float = -math.inf,
    ) -> None:
        """Compare left <= right, up to `rounding` in floating-point arithmetic.

        Args:
            left: the smaller number.
            right: the larger number.
            what: the case, for the message.
            rounding: allowed excess.
            largest: the largest value that left can take, such as 1 for a total variation
                distance. An upper bound that is not below it is not informative.
            smallest: the smallest value that right can take, such as 0 for a distance. A lower
                bound that is not above it is not informative.

        Raises:
            ValueError: if the bound is infinite.
        """
        slack = _finite(right - left, what)
        sure = float(right) >= largest or float(left) <= smallest or _vanish(rounding, left, right)
        self._inequality(slack >= -rounding, slack, f"{what}: {left} > {right}", not sure)

    def exceeds(self, left: Number, right: Number, by: float, what: str) -> None:
        """Compare left > right + by, strictly: left <= right is false, by that margin.

        Raises:
            ValueError: if one of the sides is infinite.
        """
        slack = _finite(left - right, what) - by
        self._inequality(slack > 0, slack, f"{what}: {left} <= {right} + {by}", True)

    def _inequality(self, good: bool, slack: float, message: str, informative: bool) -> None:
        if informative:
            least = math.inf if self.least_slack is None else self.least_slack
            self.least_slack = min(least, slack)
        self._count(good, -slack, f"{message} (slack {slack:.3g})", informative)

    def _count(self, good: bool, excess: float, message: str, informative: bool) -> None:
        self.cases += 1
        self.informative += informative
        if good:
            return
        self.failures.append(message)  # a comparison with NaN is never good
        excess = math.inf if math.isnan(excess) else excess
        if self.worst_failure is None or excess > self._worst_excess:
            self.worst_failure, self._worst_excess = message, excess

    @property
    def holds(self) -> bool:
        """At least one comparison could have failed, and none has failed."""
        return self.informative > 0 and not self.failures

    @property
    def complaint(self) -> str:
        """Why the claim does not hold, in one line."""
        if self.worst_failure is not None:
            return self.worst_failure
        return "no comparison could have failed" if self.cases else "no comparison was made"


def _vanish(tolerance: float, *values: Number) -> bool:
    """Whether all values are 0 up to a tolerance."""
    return all(abs(float(value)) <= tolerance for value in values)


def _finite(slack: Number, what: str) -> float:
    """The slack as a float; raises ValueError if it is infinite."""
    if float(slack) == math.inf:
        raise ValueError(
            f"{what}: the bound is infinite, so the comparison says nothing: leave it out"
        )
    return float(slack)
