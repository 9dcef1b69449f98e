"""Tables of the recorded miniatures, `results/miniatures.csv`."""

import pandas as pd

from full_scale.miniatures import open_miniature
from full_scale.miniatures.ablation import CALLS
from full_scale.miniatures.base import Kind
from full_scale.miniatures.table import (
    HEADLINE_CALLS,
    Mean,
    headline,
    means,
    read_csv,
    spread,
)
from reporting import ROOT, markdown_table, read_json

_FILE = ROOT / "results" / "miniatures.csv"
_KINDS = {
    "-teacher": "teacher",
    "": "student, no data",
    "-data": "student, with data",
    "-data-alone": "data alone, no teacher",
}
_MEDIANS: tuple[tuple[str, str, Kind], ...] = (
    ("of pure distillation", "", "student"),
    ("of its hybrids with the teacher", "", "hybrid"),
    ("of students with data", "-data", "student"),
)
"""Whose median is told: in words, the end of the experiment's name, and the model."""
_MEMORY = {
    "digits": ("training_share", "nearer to its training images"),
    "mnist-tokens": ("training_share", "nearer to its training images"),
    "words": ("held_out_share", "held-out words among real ones"),
}
"""The metric that shows memory, and what it is called."""


def everything() -> str:
    """The main metric of each recorded miniature by number of calls, with equivalent steps."""
    rows = read_csv(_FILE)
    mains = {name: open_miniature(name).main for name in dict.fromkeys(rows["miniature"])}
    parts = []
    for what, end, model in _MEDIANS:
        medians = headline(rows, mains, end, model)
        said = [f"{value:.2f} at {_calls(n)}" for n, value in medians.items()]
        parts.append(f"Median of the equivalent steps {what}: {', '.join(said)}.\n")
    for name, main in mains.items():
        lines = [line for line in means(rows[rows["miniature"] == name]) if line.metric == main]
        lines = [line for line in lines if "@" not in line.recipe]  # those are in `shares`
        calls = sorted({line.nfe for line in lines} - {0})
        found = {(line.recipe, line.model, line.nfe): line for line in lines}
        models = dict.fromkeys((line.recipe, line.model) for line in lines if line.nfe)
        cells = [
            [f"`{recipe}`", model, *(_score(found.get((recipe, model, n))) for n in calls)]
            for recipe, model in models
        ]
        metric = f"{main.replace('_', ' ')}, {lines[0].better} is better"
        real = ", ".join(f"{line.mean:.3g}" for line in lines if line.model == "data")
        header = ["recipe", "model", *map(_calls, calls)]
        parts.append(
            f"**{name}** ({metric}; real data have {real}):\n\n{markdown_table(header, cells)}"
        )
    return "\n".join(parts)


def shares() -> str:
    """Students that see a share of the data: the main metric by calls, and their memory."""
    rows = read_csv(_FILE)
    names = dict.fromkeys(rows[rows["recipe"].str.contains("@")]["miniature"])
    return "\n".join(_shares(name, rows[rows["miniature"] == name]) for name in names)


def _shares(name: str, rows: pd.DataFrame) -> str:
    """The table of one miniature."""
    main, (memory, said) = open_miniature(name).main, _MEMORY[name]
    found = {
        (line.metric, line.recipe, line.nfe): line for line in means(rows) if line.model != "hybrid"
    }
    calls = sorted({nfe for _, recipe, nfe in found if recipe == name})
    last, cells = calls[-1], []
    for end, model in _KINDS.items():
        for share in ("", "@0.3", "@0.1"):
            recipe = name + end + share
            if (main, recipe, last) not in found:
                continue
            value = found[memory, recipe, last].mean
            if memory == "held_out_share":
                value /= found[main, recipe, last].mean
            seen = {"": 0.0, "-teacher": 1.0}.get(end, float(share[1:] or 1))
            scores = [_score(found[main, recipe, n]) for n in calls]
            cells.append([model, f"{100 * seen:.0f} %", *scores, f"{value:.2f}"])
    header = ["model", "data", *map(_calls, calls), f"{said}, {_calls(last)}"]
    better = found[main, name, last].better
    title = f"**{name}** ({main.replace('_', ' ')}, {better} is better)"
    return f"{title}:\n\n{markdown_table(header, cells)}"


def ablation() -> str:
    """Students of words with one change each, in the order of the effect."""
    record = read_json(ROOT / "results" / "miniature_ablation.json")
    header = ["change", "effect", *(f"nll, {_calls(n)}" for n in CALLS)]
    header += [f"real words, {_calls(n)}" for n in CALLS]
    cells = []
    for row in record["rows"]:
        numbers = [f"{row[f'letter_nll_{n}']:.2f}" for n in CALLS]
        numbers += [f"{row[f'real_share_{n}']:.3f}" for n in CALLS]
        cells.append([row["change"], f"{row['effect']:+.2f}", *numbers])
    return markdown_table(header, cells)


def short() -> str:
    """The main metric of teacher and purely distilled student, with equivalent steps.

    Raises:
        ValueError: If the record is broken, or lacks a teacher or a student; names the file.
    """
    rows = read_csv(_FILE)
    if rows.empty:
        raise ValueError(f"{_FILE} has no rows; restore it")
    cells = []
    for name in dict.fromkeys(rows["miniature"]):
        main = open_miniature(name).main
        lines = [line for line in means(rows[rows["miniature"] == name]) if line.metric == main]
        found = {(line.recipe, line.model, line.nfe): line for line in lines}
        needed = [
            ((f"{name}-teacher", "teacher", calls), (name, "student", calls))
            for calls in HEADLINE_CALLS
        ]
        if absent := [key for pair in needed for key in pair if key not in found]:
            recipe, model, calls = absent[0]
            raise ValueError(
                f"{_FILE} has no {main} of the {model} {recipe} at {_calls(calls)}; make it again: "
                f"python -m full_scale.miniature {name} --csv {_FILE}"
            )
        line = [name, f"{main.replace('_', ' ')} ({lines[0].better} is better)"]
        for pair in needed:
            teacher, student = (found[key] for key in pair)
            line.append(f"{teacher.mean:.3g}, {student.mean:.3g} (**{student.equivalent}**)")
        cells.append(line)
    medians = headline(
        rows, {name: open_miniature(name).main for name in rows["miniature"].unique()}
    )
    cells.append(["median", "", *(f"(**{medians[n]:.2f}**)" for n in HEADLINE_CALLS)])
    header = ["data", "metric", *(f"{_calls(n)}: teacher, student" for n in HEADLINE_CALLS)]
    return markdown_table(header, cells)


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count} calls"


def _score(line: Mean | None) -> str:
    """A score; for students with the interval, and the equivalent steps in brackets."""
    if line is None:
        return ""
    text = spread(line.mean, line.interval)
    return text if line.model == "teacher" else f"{text} ({line.equivalent})"
