"""The programs that are killed: what each needs, how it starts, and what it leaves."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from full_scale.models.model_file import read_model
from full_scale.models.tensor_file import read_tensors
from full_scale.training.checkpoint import load_checkpoint
from full_scale.training.options import Reports
from reporting import read_json, read_rows
from tests.helpers import train_cases
from tests.helpers.checkpoint_writer import bits
from tests.helpers.forks import as_program
from tests.helpers.tiny_models import UNET, save_model
from tests.helpers.tiny_text import save_documents, save_tokenizer
from tests.helpers.train_ranks import be_rank

_ERRORS = "errors.txt"
_CHANGING = ("seconds", "train_seconds", "peak_memory", "code", "model_sha256")  # clock, date


class Case(NamedTuple):
    """A program that can be killed.

    Attributes:
        given: makes what the program needs.
        start: runs the program in this process, and ends the process.
        result: what it leaves.
    """

    given: Callable[[Path], None]
    start: Callable[[Path], None]
    result: Callable[[Path], Any]


def write_teacher(folder: Path) -> None:
    """The teacher of the runs."""
    train_cases.register()
    train_cases.write_teacher(folder / "teacher.safetensors")


def _run(folder: Path, **changes: Any) -> Any:
    reports = Reports(log_every=4, save_every=1, keep=2, sample_every=3, num_samples=2)
    return train_cases.student_run(folder, steps=20, reports=reports, **changes)


def _train(folder: Path) -> None:
    train_cases.train_as_program(_run(folder), folder / _ERRORS)


def trained(folder: Path) -> Any:
    """Model, log and sheets of a finished run."""
    run = folder / "run"
    files = [run / "log.jsonl", *(run / "samples").iterdir()]
    model = {"model": bits(read_model(run / "model.safetensors").state)}
    return model | {path.name: path.read_bytes() for path in files}


def _texts(folder: Path) -> None:
    save_documents(folder / "source", 20_000)
    save_tokenizer(folder / "tokenizer")


def _prepare(folder: Path) -> None:
    from full_scale import prepare

    words = ["openwebtext", "--source", folder / "source", "--tokenizer", folder / "tokenizer"]
    words += ["--split", "train", "--length", 16, "--held-out", 500, "--out", folder / "packed"]
    offline = {"HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    as_program(prepare.main, [*map(str, words)], folder / _ERRORS, offline)


def _student(folder: Path) -> None:
    save_model(folder / "model.safetensors", UNET, student=True, seed=1)


def _sample(folder: Path) -> None:
    from full_scale import sample

    words = [folder / "model.safetensors", "--out", folder / "samples", "--device", "cpu"]
    words += ["--steps", 8, "--num-samples", 200, "--batch", 4]
    as_program(sample.main, [*map(str, words)], folder / _ERRORS)


def _leaderboard(folder: Path) -> None:
    from toys import leaderboard

    words = ["--task", "pair", "--process", "masked", "--jobs", "1"]
    words += ["--method", "teacher", "sequential", "confidence"]
    for option, name in (("cache", "cache.jsonl"), ("json", "all.json"), ("csv", "all.csv")):
        words += [f"--{option}", str(folder / name)]
    as_program(leaderboard.main, words, folder / _ERRORS)


def _rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in _CHANGING} for row in rows]


def _figures(folder: Path) -> None:
    from figures.__main__ import main

    words = ["--only", "theorem1", "theorem2", "leaderboard", "--quick"]
    as_program(main, [*words, "--out", str(folder / "pictures")], folder / _ERRORS)


def _pictures(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "pictures").glob("[!.]*")}


def _miniature(folder: Path) -> None:
    from full_scale import miniature

    words = ["digits", "--quick", "--recipes", "digits", "--out", folder / "study"]
    words += ["--json", folder / "record.json", "--csv", folder / "record.csv"]
    as_program(miniature.main, [*map(str, words)], folder / _ERRORS)


def _nothing(folder: Path) -> None:
    """The program needs nothing."""


CASES = {
    "train": Case(write_teacher, _train, trained),
    "prepare": Case(
        _texts, _prepare, lambda folder: (folder / "packed" / "train" / "x_0.bin").read_bytes()
    ),
    "sample": Case(
        _student, _sample, lambda folder: (folder / "samples" / "samples.npy").read_bytes()
    ),
    "leaderboard": Case(
        _nothing, _leaderboard, lambda folder: _rows(read_json(folder / "all.json")["rows"])
    ),
    "figures": Case(_nothing, _figures, _pictures),
    "miniature": Case(
        _nothing, _miniature, lambda folder: _rows(read_rows(folder / "study" / "rows.jsonl"))
    ),
}


def halves(folder: Path) -> list[str]:
    """The files that are neither whole nor absent. Locks and temporary names do not count."""
    found = []
    for path in sorted(folder.rglob("[!.]*")):
        try:
            if path.is_file() and path.suffix in _WHOLE:
                _WHOLE[path.suffix](path)
        except Exception as error:  # whatever a reader says
            found.append(f"{path.relative_to(folder)} is cut: {error!r}")
    return found


def _picture(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _ends(path: Path) -> None:
    assert path.read_bytes().rstrip().endswith(b"%%EOF")


def _table(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.endswith("\n")
    assert len({len(row) for row in csv.reader(text.splitlines())}) == 1


_WHOLE: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: json.loads(path.read_text("utf-8")),
    ".jsonl": read_rows,
    ".png": _picture,
    ".pdf": _ends,
    ".csv": _table,
    ".npy": lambda path: np.load(path),
    ".safetensors": read_tensors,
    ".pt": load_checkpoint,
}
"""How to tell that a file is whole, by its suffix."""


def train_as_rank(folder: Path, strategy: str, rank: int, port: int) -> None:
    """Train as one of two processes, and end this process."""
    be_rank(rank, port)
    run = _run(folder, strategy=strategy)
    train_cases.train_as_program(run, folder / f"{rank}-{_ERRORS}")


def said(folder: Path, rank: int | None = None) -> str:
    """The last line of the standard error."""
    path = folder / (_ERRORS if rank is None else f"{rank}-{_ERRORS}")
    lines = path.read_text().replace("\r", "\n").split("\n") if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
