"""What a claim is, and how the comparisons that support it are counted."""

import importlib
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field

import theory

Number = float  # anything that float() takes: Fraction, 0-d tensor, interval midpoint
NAIVE = "naive: "  # how the statement of a negative control starts


@dataclass
class Record:
    """Counts the comparisons of one claim and keeps the worst of each kind, NaN left out.

    Attributes:
        cases: number of comparisons.
        worst_deviation: largest |left - right| among the identities, None without any.
        least_slack: smallest right - left among the inequalities (an expected failure counts by
            how far it fails), None without any.
        failures: one line for each comparison that went wrong, and for an exception.
    """

    cases: int = 0
    worst_deviation: float | None = None
    least_slack: float | None = None
    failures: list[str] = field(default_factory=list)

    def equal(self, left: Number, right: Number, tolerance: float, what: str) -> None:
        """The identity left = right, to an absolute tolerance (0 for rationals)."""
        deviation = float(abs(left - right))
        self.worst_deviation = max(self.worst_deviation or 0.0, deviation)
        self._count(deviation <= tolerance, f"{what}: {left} != {right}, off by {deviation:.3g}")

    def at_most(self, left: Number, right: Number, what: str, rounding: float = 0.0) -> None:
        """The inequality left <= right, up to `rounding` in float arithmetic."""
        slack = float(right - left)
        self._inequality(slack >= -rounding, slack, f"{what}: {left} > {right}")

    def exceeds(self, left: Number, right: Number, by: float, what: str) -> None:
        """The strict inequality left > right + by: a naive left <= right fails, by that much."""
        slack = float(left - right) - by
        self._inequality(slack > 0, slack, f"{what}: {left} <= {right} + {by}")

    def _inequality(self, good: bool, slack: float, message: str) -> None:
        self.least_slack = min(math.inf if self.least_slack is None else self.least_slack, slack)
        self._count(good, f"{message} (slack {slack:.3g})")

    def _count(self, good: bool, message: str) -> None:
        self.cases += 1
        if not good:  # also taken when a comparison is NaN
            self.failures.append(message)

    @property
    def holds(self) -> bool:
        """At least one comparison was made and none failed."""
        return self.cases > 0 and not self.failures


@dataclass(frozen=True)
class Claim:
    """A statement with its hypotheses and the computation that confirms or refutes it.

    Attributes:
        name: identifier, unique.
        statement: one line, what is claimed; what fails, after "naive: ", if it is a control.
        source: theorem, equation or paper that states it; "this project" if it goes beyond.
        hypotheses: where they bind: what is assumed and what breaks without it.
        verify: makes the comparisons on a fresh record.
        control: a negative control: the claim is that the naive statement fails here.
    """

    name: str
    statement: str
    source: str
    hypotheses: str
    verify: Callable[[Record], None]
    control: bool = False

    def __post_init__(self) -> None:
        if self.control != self.statement.startswith(NAIVE):
            raise ValueError(
                f"statement must start with {NAIVE!r} for a negative control, and only then; "
                f"got {self.statement!r} for {self.name}, control = {self.control}"
            )

    def run(self) -> Record:
        """Verify on a fresh record; an exception is a failure of this claim, not of the run."""
        record = Record()
        try:
            self.verify(record)
        except Exception as error:
            message = " ".join(str(error).split())
            record.failures.insert(0, f"raised {type(error).__name__}: {message}")
        return record


def confirm(claim: Claim) -> None:
    """AssertionError with the first failures unless the claim holds (for the tests).

    An exception goes through, with its traceback.
    """
    record = Record()
    claim.verify(record)
    assert record.holds, f"{claim.name}: " + "; ".join(record.failures[:5] or ["no comparison"])


def all_claims() -> list[tuple[str, Claim]]:
    """(module, claim) of every module in this folder, in file order (`CLAIMS` of each module)."""
    claims: list[tuple[str, Claim]] = []
    for module in pkgutil.iter_modules(theory.__path__):
        if not module.name.startswith(("test_", "__")):
            loaded = importlib.import_module(f"theory.{module.name}")
            claims += [(module.name, claim) for claim in getattr(loaded, "CLAIMS", [])]
    return claims
