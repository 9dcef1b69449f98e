"""What a claim is, and how the comparisons that support it are counted."""

import importlib
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

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


Verify = Callable[[Record], None]
Group = Literal["paper", "sharper", "fails", "beyond"]

GROUPS: dict[Group, str] = {
    "paper": "What the paper states",
    "sharper": "Sharper than the paper",
    "fails": "Where the usual statement fails (negative controls)",
    "beyond": "Beyond the paper",
}
"""Whose statement a claim is, in the order of tables."""


@dataclass(frozen=True)
class Claim:
    """A statement with its hypotheses and the computation that confirms or refutes it.

    Attributes:
        name: identifier, unique; words joined by hyphens.
        statement: one line, what is claimed. A negative control states what fails, after "naive: ".
        group: "paper" for a statement of the paper, "sharper" for one with constants or hypotheses
            that the paper does not have, "fails" for a negative control: the naive statement fails
            here, and "beyond" for all others.
        source: theorem, equation or paper that states it; "this project" if nobody did.
        hypotheses: what is assumed, and what breaks without it.
        verify: makes the comparisons on a fresh record.
    """

    name: str
    statement: str
    group: Group
    source: str
    hypotheses: str
    verify: Verify

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise ValueError(f"group must be one of {', '.join(GROUPS)}; got {self.group!r}")
        if self.control != self.statement.startswith(NAIVE):
            raise ValueError(
                f"statement must start with {NAIVE!r} for a negative control, and only then; "
                f"got {self.statement!r} for {self.name}, group = {self.group!r}"
            )

    @property
    def control(self) -> bool:
        """Whether the claim is that a naive statement fails."""
        return self.group == "fails"

    @property
    def module(self) -> str:
        """Path of the file within theory/, without its ending: "theorem1/lemma1"."""
        return self.verify.__module__.removeprefix("theory.").replace(".", "/")

    def run(self) -> Record:
        """Verify on a fresh record; an exception is a failure of this claim, not of the run."""
        record = Record()
        try:
            self.verify(record)
        except Exception as error:
            message = " ".join(str(error).split())
            record.failures.insert(0, f"raised {type(error).__name__}: {message}")
        return record


_REGISTERED: dict[str, Claim] = {}


def claim(
    name: str, statement: str, *, group: Group, source: str, hypotheses: str
) -> Callable[[Verify], Verify]:
    """Registers the decorated function as the computation of a claim; see `Claim`.

    Raises:
        ValueError: if another function has registered a claim of this name.
    """

    def register(verify: Verify) -> Verify:
        made = Claim(name, statement, group, source, hypotheses, verify)
        known = _REGISTERED.setdefault(name, made)
        if (known.verify.__module__, known.verify.__name__) != (verify.__module__, verify.__name__):
            raise ValueError(f"name must be unique; {name!r} is also claimed in {known.module}.py")
        _REGISTERED[name] = made
        return verify

    return register


def confirm(claim: Claim) -> None:
    """AssertionError with the first failures unless the claim holds (for the tests).

    An exception goes through, with its traceback.
    """
    record = Record()
    claim.verify(record)
    assert record.holds, f"{claim.name}: " + "; ".join(record.failures[:5] or ["no comparison"])


def all_claims() -> list[Claim]:
    """Every claim of every file below theory/: files by path, claims in the order of their file."""
    for module in pkgutil.walk_packages(theory.__path__, "theory."):
        if not module.name.rpartition(".")[2].startswith(("test_", "__")):
            importlib.import_module(module.name)
    return sorted(_REGISTERED.values(), key=lambda known: known.module)
