"""The numbered statements of the paper: in symbols, with the hypotheses that they need.

    from theory.paper import statements_markdown

    print(statements_markdown(record))  # record: results/theory.json, or None

The paper is "Distillation of Discrete Diffusion through Dimensional Correlations", Hayakawa et al.,
ICML 2025.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reporting import markdown_table
from theory.claim import all_claims
from theory.table import margin

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Statement:
    """One statement of the paper.

    Attributes:
        name: its number in the paper, or what it is about.
        symbols: the statement in formulas.
        needed: what has to hold.
        implicit: what has to hold and the paper leaves implicit; empty if nothing.
        claims: names of the claims that check it.
        fails: names of the negative controls that show where it stops to hold.
    """

    name: str
    symbols: str
    needed: str
    implicit: str
    claims: tuple[str, ...]
    fails: tuple[str, ...]


STATEMENTS = (
    Statement(
        "Proposition 1",
        r"$p = \mathbb E_\lambda \prod_d p^d(\cdot; \lambda)$ with $\lambda \sim$ Unif[0, 1]",
        "any law on S^D",
        "how many components: S^(D-1) always suffice, and parity on D bits needs all 2^(D-1)",
        ("proposition1-inverse-cdf", "proposition1-component-count", "proposition1-parity"),
        ("latent-entropy-not-sufficient",),
    ),
    Statement(
        "Lemma 1",
        r"$d_{TV}(q_{t-\epsilon|t}(\cdot|x), \prod_d q^d_{t-\epsilon|t}(\cdot|x)) = "
        r"O(\epsilon^2)$",
        "a continuous-time Markov chain; coordinates move independently; fixed t > 0",
        "q_t(x) > 0; the constant depends on t and x; for data with zeros it is unbounded as t "
        "falls to 0",
        ("lemma1-order", "lemma1-limit", "lemma1-binary", "lemma1-masked"),
        ("lemma1-uniformly",),
    ),
    Statement(
        "Theorem 1, upper bound",
        r"$d_{TV}(q_0, P_{0|t_1} \circ \dots \circ P_{t_{N-1}|T} \circ q_T) = O(1/N)$",
        "marginal-matching product steps on the uniform grid; start q_T",
        r"$\int \alpha'^2 < \infty$, and one of: full support of the data, masked noise, early "
        "stopping, a finer grid near the data, noise that starts at rate 0",
        ("theorem1-rate", "theorem1-upper-steps"),
        (
            "theorem1-needs-support",
            "log-rate",
            "log-rate-absorbing",
            "infinite-slope",
            "infinite-slope-equal-bits",
        ),
    ),
    Statement(
        "Theorem 1, lower bound",
        r"$d_{TV}(q_0, P_{0|t_1} \circ \dots \circ P_{t_{N-1}|T} \circ q_T) \ge c / N$ at "
        "S = D = 2",
        "an example, two bits; marginal-matching product steps",
        "the uniform grid and full support: for equal bits, other grids and the cosine schedule "
        "err less; other product steps need not err at all",
        ("theorem1-lower", "theorem1-lower-every-pair"),
        (
            "arbitrary-products-one-step",
            "arbitrary-products-sequential",
            "arbitrary-products-uniform",
            "no-lower-bound-over-grids",
            "no-lower-bound-cosine",
        ),
    ),
    Statement(
        "Theorem 2",
        r"$d_{TV}(\text{teacher}_N, \text{student}_1) \le \frac{1}{\sqrt 2} \big[ "
        r"\sqrt{L_{distil}} + \sum_{n=2}^N \sqrt{L_{consis,n}} \big]$",
        "losses at states that the teacher generates; any teacher, student, S, D and N",
        "one step of the student: several steps, even without any loss, are not the teacher",
        ("theorem2-bound", "theorem2-diffusion", "theorem2-losses"),
        ("theorem2-losses-own-latents", "several-steps-teacher"),
    ),
    Statement(
        "Losses at noised data, r_t = q_t",
        r"Theorem 2 with $q_{t_n}$ in the losses and $\sum_{n \ge 2} "
        r"d_{TV}(p^\psi_{t_{n-1}|t_n} \circ q_{t_n}, q_{t_{n-1}})$ on the right",
        "any laws, teacher and student",
        "the added term, which measures how far the teacher is from the data; without it the bound "
        "is false",
        ("theorem2-noised-data", "theorem2-noised-data-sharp"),
        ("theorem2-noised-data-no-term",),
    ),
    Statement(
        "Iterated Di4C",
        r"Theorem 2 with a mixture as the teacher $p^\psi$",
        "any Markov chain may be the teacher",
        "nothing",
        ("theorem2-bound", "theorem2-expected"),
        (),
    ),
    Statement(
        "Surrogate of the distillation loss",
        r"$\mathrm{KL}(p^\psi \Vert \mathbb E_\lambda p^\theta(\cdot; \lambda)) \le "
        r"\mathbb E_\lambda \sum_d \mathrm{KL}(p^{\psi, d} \Vert p^{\theta, d}(\cdot; \lambda))$",
        "the teacher is a product model",
        "for a mixture as the teacher its total correlation has to be added",
        ("convexity-surrogate", "convexity-surrogate-equality", "convexity-surrogate-gap"),
        ("convexity-surrogate-correlated", "convexity-surrogate-support"),
    ),
    Statement(
        "Control variate",
        r"$\mathbb E_r \log p = \mathbb E_r[\log p - \log \bar p] + \sum_d \mathbb E_{r^d} "
        r"\log \bar p^d$",
        "r^d are the marginals of r itself",
        "it lowers the variance in many cases, not in all; in the data term r^d are the teacher's, "
        "so the minimiser is wrong and the loss may be unbounded below",
        ("control-variate-identity", "control-variate-unbiased", "control-variate-typical"),
        ("control-variate-can-hurt", "control-variate-gradient-trap", "data-term-unbounded"),
    ),
    Statement(
        "Data-prediction loss",
        r"$\mathbb E[-\log \mathbb E_\lambda \prod_d p^{\theta, d}_{0|t}(x_0^d | x_t; \lambda)]$ "
        "sees correlations",
        "the exact mean over the latent; a finite batch of latents is biased up",
        "the bias may be infinite, and the estimate may then prefer a student without correlations",
        ("marginals-only-di4c", "jensen-bias"),
        ("jensen-bias-infinite", "jensen-bias-correlation-sign", "latent-batch-prefers-products"),
    ),
    Statement(
        "Losses of continuous time",
        "equal marginals, equal loss: the joint law of a step does not enter",
        "full support, small steps",
        "nothing",
        ("marginals-only-loss",),
        ("marginals-only-price",),
    ),
)
"""The statements in the order of the paper."""


def statement_rows(recorded: Sequence[Row] = ()) -> list[dict[str, Any]]:
    """One row for each statement, as `python -m theory --json FILE` writes it.

    Args:
        recorded: results of claims. The numbers of a statement are those of its claims among them.

    Raises:
        KeyError: if a statement names a claim that does not exist.
    """
    known = {claim.name: claim for claim in all_claims()}
    return [
        {
            "name": statement.name,
            "symbols": statement.symbols,
            "needed": statement.needed,
            "implicit": statement.implicit,
            "files": list(dict.fromkeys(known[name].file for name in statement.claims)),
            "fails": [known[name].name for name in statement.fails],
            **_numbers([row for row in recorded if row["name"] in statement.claims]),
        }
        for statement in STATEMENTS
    ]


def _numbers(rows: Sequence[Row]) -> dict[str, Any]:
    """Comparisons that could have failed, the worst deviation and the least slack of some rows."""
    deviations = [row["worst_deviation"] for row in rows if row["worst_deviation"] is not None]
    slacks = [row["least_slack"] for row in rows if row["least_slack"] is not None]
    return {
        "comparisons": sum(row.get("informative", row["cases"]) for row in rows),
        "worst_deviation": max(deviations, default=None),
        "least_slack": min(slacks, default=None),
    }


def statements_markdown(record: Row | None = None) -> str:
    """One row for each statement: symbols, hypotheses, files, comparisons, margin, where it fails.

    Args:
        record: what `python -m theory --json FILE` has written. Without it the numbers are empty.

    Raises:
        KeyError: if a statement names a claim that does not exist.
    """
    header = ["paper", "in symbols", "needs", "left implicit", "file", "comparisons", "margin"]
    lines = [
        [
            *(row[key] for key in ("name", "symbols", "needed", "implicit")),
            ", ".join(f"`{file}`" for file in row["files"]),
            *((f"{row['comparisons']:,}", margin([row])) if row["comparisons"] else ("", "")),
            ", ".join(f"`{name}`" for name in row["fails"]),
        ]
        for row in statement_rows(record["claims"] if record else ())
    ]
    return markdown_table(
        [*header, "fails otherwise"], [[_cell(text) for text in line] for line in lines]
    )


def _cell(text: str) -> str:
    """The text without a bar, which would end the cell."""
    return text.replace("|", r"\vert ") if "$" in text else text
