"""Mutants of the library: small changes of the code, of which the tests should find every one.

The mutants are those of cosmic-ray (pip install cosmic-ray). A sample is drawn by the seed, and
`mutant_loop` tries each on the tests in a copy of the project. Not mutated are annotations and
messages: what `raise` is given, and f-strings. Abstract marks are not either: tests/project checks
that all are there. Overloads and protocols are for the type checker. An operator is replaced by
another of its kind only: an arithmetic, a logical or a comparing one. Other replacements end in a
TypeError for most tensors and would flatter the tests.

A survivor is a failure unless `equivalent` gives the reason why it changes nothing. After reasons
were added, the recorded survivors are judged again by

    python -m tests.hard_use.mutation results/robustness.json
"""

import ast
import difflib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from scipy.stats import binomtest

from reporting import ROOT, read_json, write_json
from tests.hard_use.equivalent import reason_of

MUTATED = (
    *("confidence.py", "exact", "likelihood", "losses.py", "objective.py", "processes"),
    *("samplers.py", "sampling_loop.py", "schedules.py"),
)
"""Files and folders of the library."""

CLAIMS = {
    "theory/theorem1/upper_bound/rate.py": {"increments", "even_law"},
    "theory/theorem2/diffusion.py": {"Student", "quantile_student", "as_chains", "engine_distance"},
}
"""Files of claims, and what is mutated there: what the claims use. They themselves are tests."""

TESTS = ("tests/di4c", "tests/parity", "theory/limits", "theory/theorem1", "theory/theorem2")

_KINDS = (
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"BitAnd", "BitOr", "BitXor"},
    {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"},
    {"Is", "IsNot"},
    *({"Delete", sign} for sign in ("USub", "Not", "Invert")),
)


class Mutant(NamedTuple):
    """A mutant of a file of the project.

    Attributes:
        file: its name from the root.
        operator: cosmic-ray's name of the kind of change.
        occurrence: number of the place among all that the operator finds in the file.
    """

    file: str
    operator: str
    occurrence: int

    @property
    def source(self) -> str:
        """The mutated file."""
        from cosmic_ray.mutating import mutate_code
        from cosmic_ray.plugins import get_operator

        source = (ROOT / self.file).read_text("utf-8")
        return mutate_code(source, get_operator(self.operator)(), self.occurrence)


def all_mutants() -> Iterator[Mutant]:
    """All mutants of the files above."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    paths = [ROOT / "di4c" / name for name in MUTATED]
    found = [file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])]
    for file in [*sorted(str(path.relative_to(ROOT)) for path in found), *CLAIMS]:
        source = (ROOT / file).read_text("utf-8")
        nodes, ignored = [*ast_nodes(get_ast(source))], [*_ignored(source, CLAIMS.get(file))]
        for name in filter(_wanted, operator_names()):
            spots = ((n, s) for n in nodes for s in get_operator(name)().mutation_positions(n))
            for number, (node, (start, end)) in enumerate(spots):
                marker = node.parent is not None and node.parent.type == "parameters"  # def f(*, x)
                if not marker and not any(a <= start and end <= b for a, b in ignored):
                    yield Mutant(file, name, number)


def _wanted(name: str) -> bool:
    """Whether an operator of cosmic-ray is used."""
    word, *pair = name.partition("/")[2].split("_")
    return not word.startswith("Variable") and (not pair or any({*pair} <= k for k in _KINDS))


def _ignored(source: str, only: set[str] | None) -> Iterator[tuple[tuple[int, int], ...]]:
    """Start and end of what is not mutated. `only` names the definitions that are, if not all."""
    tree = ast.parse(source)
    parts: list[ast.AST | None] = []
    if only is not None:
        parts += [node for node in tree.body if getattr(node, "name", None) not in only]
    for node in ast.walk(tree):
        parts += [getattr(node, name, None) for name in ("annotation", "returns")]
        bases = [getattr(base, "id", None) for base in getattr(node, "bases", ())]
        if isinstance(node, (ast.Raise, ast.JoinedStr)) or "Protocol" in bases:
            parts.append(node)
        for mark in getattr(node, "decorator_list", ()):
            if getattr(mark, "id", None) in ("abstractmethod", "overload"):
                yield (mark.lineno, 0), (mark.lineno + 1, 0)
    for part in filter(None, parts):
        first = min([part.lineno, *(d.lineno for d in getattr(part, "decorator_list", ()))])
        yield (first, part.col_offset), (part.end_lineno, part.end_col_offset)


def change(old: str, new: str) -> tuple[str, str, str]:
    """Number, old text and new text of the lines that differ."""
    lines = (text.splitlines() for text in (old, new))
    _, _, place, *rows = difflib.unified_diff(*lines, n=0, lineterm="")
    changed = (" ".join(r[1:].strip() for r in rows if r[0] == side) for side in "-+")
    before, after = (text.strip() for text in changed)
    return place.split()[1].strip("-").partition(",")[0], before, after


def verdicts(folder: Path, tests: tuple[str, ...], mutants: list[tuple[str, str]]) -> Iterator[str]:
    """Try mutants of a project: "killed", "timed out" or "survived", one after the other.

    Args:
        folder: the project. It has the same content at the end.
        tests: folders of its tests.
        mutants: files and their mutated content.
    """
    with subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("mutant_loop.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as loop:
        with loop.stdin:
            json.dump({"tests": tests, "mutants": mutants}, loop.stdin)
        yield from map(json.loads, loop.stdout)
    if loop.returncode:
        raise RuntimeError(f"the tests of {folder} ended with status {loop.returncode}")


def unexplained(survivors: list[list[str]]) -> list[str]:
    """Those survivors (file, line, line of the mutant) of which nobody says why."""
    return [
        f"{file}: {line} -> {new}"
        for file, line, new in survivors
        if not reason_of(file, line, new)
    ]


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Try a share of all mutants; see `tests.hard_use`."""
    try:
        every = [*all_mutants()]
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the part mutation needs cosmic-ray ({error}); install it: pip install cosmic-ray"
        ) from error
    drawn = random.Random(seed).sample(every, math.ceil(share * len(every)))
    sources = [(mutant.file, mutant.source) for mutant in drawn]
    counts = {"killed": 0, "timed out": 0, "survived": 0}
    figures: dict[str, Any] = {"mutants": len(every), "survivors": [], "failures": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "project"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        found = verdicts(folder, TESTS, sources)
        for (file, source), said in zip(sources, found, strict=True):
            counts[said] += 1
            if said == "survived":
                _, *words = change((ROOT / file).read_text("utf-8"), source)
                figures["survivors"].append([file, *words])
                figures["failures"] = unexplained(figures["survivors"])
            tried = sum(counts.values())
            interval = binomtest(tried - counts["survived"], tried).proportion_ci(method="exact")
            yield (
                figures
                | counts
                | {"tried": tried, "killed_share_95": [round(end, 4) for end in interval]}
            )


def main(path: Path) -> None:
    """Judge the survivors in a record again."""
    record = read_json(path)
    record["mutation"]["failures"] = unexplained(record["mutation"]["survivors"])
    write_json(path, record)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
