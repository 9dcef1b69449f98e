"""What a claim is, how its comparisons are counted, and how all claims are found.

A claim is a checked statement. The decorator `claim` above a function registers it; the function
makes the comparisons on a `Record`:

    @claim(
        "one-is-one",
        "The number 1 equals itself.",
        group="beyond",
        source="this project",
        hypotheses="none",
    )
    def verify_one(record: Record) -> None:
        record.equal(1, 1, 0, "the number 1")

`all_claims` imports every file below theory/ and returns what was registered.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import theory
from theory.record import Record

Verify = Callable[[Record], None]
Group = Literal["paper", "sharper", "fails", "beyond"]

GROUPS: dict[Group, str] = {
    "paper": "What the paper states",
    "sharper": "Sharper than the paper",
    "fails": "Where the usual statement fails",
    "beyond": "Beyond the paper",
}
"""Whose statement a claim is, in the order of tables.

The paper is "Distillation of Discrete Diffusion through Dimensional Correlations", Hayakawa et al.,
ICML 2025.
"""

PAPER_STATEMENTS = {
    "Proposition 1": "every law is a mixture of product laws",
    "Lemma 1": "one product step has an error of order eps^2",
    "Theorem 1, upper bound": "N product steps have an error of order 1/N",
    "Theorem 1, lower bound": "two bits: the error is at least of order 1/N",
    "Theorem 2": "two losses bound the distance of a student to its many-step teacher",
    "Losses": "the losses see correlations; a finite batch of latents biases them up",
    "Surrogate loss (Appendix A.1)": "a sum over coordinates bounds the distillation loss",
    "Control variate": "splitting off the marginals changes no expectation",
    "Continuous-time losses": "losses of continuous time see marginals only",
}
"""The statements of the paper in its order, in short words: sources of claims of group "paper"."""

NOTATION = {
    "D, S": "number of coordinates, number of values of each",
    "p_0, q_t": "law of the data; law of the noised data at time t, from q_0 = p_0 to q_T",
    "N": "number of steps, at times t_0 = 0 < ... < t_N = T; uniform grid: t_k = k T/N",
    "alpha": "probability that noise has left a coordinate alone; alpha_k at time t_k",
    "K, P": "true reverse kernel of a step, from t to t - eps; product of its marginals",
    "out_N": "law that N product steps generate; they start from q_T",
    "TV, TV_N": "total variation distance; that between p_0 and out_N",
    "d_12": "two coordinates: TV between p_0 and the product of its marginals",
    "masked pair": "two coordinates under masked noise",
    "uniform pair": "two symmetric bits of correlation theta under uniform noise; "
    "psi = artanh(theta alpha^2); r is the rate at which a bit flips",
    "absorbing pair": "two bits, 11 with probability a, else 00, under noise that lets ones fall "
    "to zero; phi = arctan(sqrt(a/(1-a)) (1-alpha))",
}
"""What the symbols in the statements mean."""

FALSE = "False in general: "
"""How the statement of a negative control starts."""


@dataclass(frozen=True)
class Claim:
    """A statement with its hypotheses and the computation that confirms or refutes it.

    Attributes:
        name: unique identifier; lower-case words joined by hyphens.
        statement: what is claimed, in one or two sentences. The statement of a negative control
            starts with "False in general: ", says what fails, and may add what is true instead.
        group: "paper" for a statement of the paper; "sharper" for a statement of the paper with a
            constant or with weaker hypotheses that the paper does not have; "fails" for a negative
            control, which shows that the usual statement fails; "beyond" for all others.
        source: who states it. One of PAPER_STATEMENTS in the group "paper"; "this project" where we
            know of nobody else.
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
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name):
            raise ValueError(f"name must be lower-case words joined by hyphens; got {self.name!r}")
        if self.group not in GROUPS:
            raise ValueError(f"group must be one of {', '.join(GROUPS)}; got {self.group!r}")
        if not self.statement or "\n" in self.statement:
            raise ValueError(f"statement must be one line of text; got {self.statement!r}")
        if self.control != self.statement.startswith(FALSE):
            raise ValueError(
                f"statement must start with {FALSE!r} in the group 'fails', and only there; "
                f"got {self.statement!r} for {self.name} in the group {self.group!r}"
            )
        if self.group == "paper" and self.source not in PAPER_STATEMENTS:
            raise ValueError(
                f"source must be one of {', '.join(PAPER_STATEMENTS)} in the group 'paper'; "
                f"got {self.source!r} for {self.name}"
            )

    @property
    def control(self) -> bool:
        """Whether this is a negative control: it shows that a usual statement fails."""
        return self.group == "fails"

    @property
    def module(self) -> str:
        """Path of the file within theory/, without its ending: "lemma1/one_step"."""
        return self.verify.__module__.removeprefix("theory.").replace(".", "/")

    @property
    def file(self) -> str:
        """Path of the file within the repository: "theory/lemma1/one_step.py"."""
        return f"theory/{self.module}.py"

    def run(self) -> Record:
        """Verify on a fresh record; an exception is a failure of this claim and stops no other."""
        record = Record()
        try:
            self.verify(record)
        except Exception as error:
            message = " ".join(str(error).split())
            record.worst_failure = f"raised {type(error).__name__}: {message}"
            record.failures.insert(0, record.worst_failure)
        return record


_REGISTERED: dict[str, Claim] = {}


def claim(
    name: str, statement: str, *, group: Group, source: str, hypotheses: str
) -> Callable[[Verify], Verify]:
    """Register the decorated function as the computation of a claim; see `Claim`.

    Raises:
        ValueError: if another function has registered a claim of this name.
    """

    def register(verify: Verify) -> Verify:
        made = Claim(name, statement, group, source, hypotheses, verify)
        known = _REGISTERED.setdefault(name, made)
        if (known.verify.__module__, known.verify.__name__) != (verify.__module__, verify.__name__):
            raise ValueError(f"name must be unique; {name!r} is also a claim of {known.file}")
        _REGISTERED[name] = made
        return verify

    return register


def confirm(claim: Claim) -> None:
    """Check a claim in a test.

    An exception of the computation is passed on, with its traceback.

    Raises:
        AssertionError: with the first five failures, if the claim does not hold.
    """
    record = Record()
    claim.verify(record)
    assert record.holds, f"{claim.name}: " + "; ".join(record.failures[:5] or [record.complaint])


def all_claims() -> list[Claim]:
    """Every claim below theory/: files sorted by path, claims in the order of their file."""
    for module in pkgutil.walk_packages(theory.__path__, "theory."):
        if not module.name.rpartition(".")[2].startswith(("test_", "__")):
            importlib.import_module(module.name)
    return sorted(_REGISTERED.values(), key=lambda known: known.module)
