"""The steps of a reproduction: each runs scripts that write their records into one folder."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reporting.provenance import ROOT


@dataclass(frozen=True)
class Stage:
    """One step.

    Attributes:
        name: one word: its log is logs/NAME.txt.
        title: what it does, for the reader.
        seconds: how long it takes on two idle cores, roughly.
        commands: what follows `python` on the command line; {out} stands for the folder.
    """

    name: str
    title: str
    seconds: int
    commands: Sequence[str]


@dataclass(frozen=True)
class Outcome:
    """How a step ended.

    Attributes:
        stage: which one.
        seconds: how long it took.
        error: why it failed, in one line; None if it succeeded.
    """

    stage: Stage
    seconds: float
    error: str | None


_PAIRS = ("masked", "uniform", "absorbing", "ctmc")
_LOG_LAW = (
    "toys/two_dim_tv.py --process ctmc --rates 0.3 1 --theta 1 --horizon 2 "
    "--steps 1 2 4 8 16 32 64 128 256 512 1024"
)
_LOG_GRIDS = {"uniform": "two_dim_log", "quadratic": "two_dim_log_quadratic"}
MINIATURES = {
    "digits": "images of digits",
    "mnist-tokens": "images of digits as codes",
    "words": "English words",
}
"""The miniatures that are reproduced, and what their data are."""

DRAWN = (
    *("figure1", "theorem1", *(f"two_dim_tv_{process}" for process in _PAIRS)),
    *("digit_patches", "letter_windows"),
)
"""Pictures whose records are all computed again."""

STAGES = (
    Stage("theory", "every claim of the theory", 80, ["-m theory --json {out}/theory.json"]),
    *(
        Stage(
            name,
            f"{data}: a student of the shipped teacher, quick form",
            70,
            [
                f"-m full_scale.miniature {name} --quick --out {{out}}/runs/{name} "
                f"--json {{out}}/{name}.json"
            ],
        )
        for name, data in MINIATURES.items()
    ),
    Stage(
        "leaderboard",
        "benchmark of few-step methods, quick form",
        60,
        [
            "toys/leaderboard.py --quick --cache {out}/leaderboard.jsonl "
            "--json {out}/leaderboard.json"
        ],
    ),
    Stage(
        "two_dim",
        "total variation of two coordinates, four processes",
        10,
        [
            f"toys/two_dim_tv.py --process {process} --json {{out}}/two_dim_tv_{process}.json"
            for process in _PAIRS
        ],
    ),
    Stage(
        "log",
        "a law with zeros, where TV falls like log N / N, and the grid that repairs it",
        6,
        [
            f"{_LOG_LAW} --grid {grid} --json {{out}}/{name}.json"
            for grid, name in _LOG_GRIDS.items()
        ],
    ),
    Stage(
        "two_moons",
        "two moons on a grid: products and mixtures",
        6,
        ["toys/figure1_laws.py --json {out}/figure1.json"],
    ),
    Stage(
        "digit_patches",
        "real data: patches of digit images",
        15,
        ["toys/digit_patches.py --json {out}/digit_patches.json"],
    ),
    Stage(
        "letter_windows",
        "real data: windows of three letters",
        9,
        ["toys/letter_windows.py --json {out}/letter_windows.json"],
    ),
    Stage(
        "figures",
        "pictures of these records",
        6,
        [f"-m figures --only {' '.join(DRAWN)} --results {{out}} --out {{out}}/figures"],
    ),
)
"""Every step but the report, the longest first. The last one needs the records of the others."""

_AT_A_TIME = 2  # a step uses one core


def run_stages(
    stages: Sequence[Stage],
    out: Path,
    begins: Callable[[int, Stage], None] = lambda place, stage: None,
    ends: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Run all steps, two at a time; the last one runs when the others have ended.

    Args:
        stages: the steps.
        out: folder for the records; exists.
        begins: is told each step and its place, from 1 on, when it begins.
        ends: is told how each step ended.
    """

    def run(place: int, stage: Stage) -> Outcome:
        begins(place, stage)
        outcome = run_stage(stage, out)
        ends(outcome)
        return outcome

    *first, last = enumerate(stages, start=1)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        outcomes = list(pool.map(lambda numbered: run(*numbered), first))
    return [*outcomes, run(*last)]


def run_stage(stage: Stage, out: Path) -> Outcome:
    """Run the commands of a step; the first that fails ends it.

    What they print goes to logs/NAME.txt in the folder.

    Args:
        stage: the step.
        out: folder for the records; exists.
    """
    log = out / "logs" / f"{stage.name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    started, error = time.perf_counter(), None
    # One thread: sums come out the same whatever the number of cores.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as file:
        for command in stage.commands:
            words = [word.replace("{out}", str(out)) for word in shlex.split(command)]
            file.write(f"$ python {shlex.join(words)}\n")
            file.flush()
            result = subprocess.run(
                [sys.executable, *words],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            if result.returncode:
                error = f"python {shlex.join(words)} ended with status {result.returncode}"
                break
    return Outcome(stage, time.perf_counter() - started, error)
