"""Programs that are killed at random moments: nothing is lost, and nothing is half there.

Each program gets SIGKILL again and again, and is then run to its end. What it leaves must be, bit
by bit, what an undisturbed run leaves. After each kill every file is whole or absent.
"""

import math
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from full_scale.train import LOST
from full_scale.training.checkpoint import latest_checkpoint
from tests.hard_use.programs import CASES, Case, halves, said, train_as_rank, trained, write_teacher
from tests.helpers.forks import FORKS
from tests.helpers.ports import free_port

KILLS = {
    "train": 50,
    "prepare": 20,
    "sample": 20,
    "leaderboard": 20,
    "figures": 20,
    "miniature": 20,
}
"""Number of kills in the long form."""

RANKS = [(strategy, victim) for strategy in ("ddp", "fsdp") for victim in (0, 1)]
"""Two processes that train together, and the one that is killed."""


def survive(name: str, kills: int, folder: Path, moments: random.Random) -> list[str]:
    """What went wrong in `kill_often`, one line each."""
    return kill_often(name, kills, folder, moments)[1]


def kill_often(
    name: str, kills: int, folder: Path, moments: random.Random
) -> tuple[int, list[str]]:
    """Kill a program so often, at random moments, and run it to its end after that.

    Returns:
        The number of kills, which is smaller if something went wrong; and what did, one line each.
    """
    case, hits, number, failures = CASES[name], 0, 0, []
    reference = _new(folder / "undisturbed", case)
    start = time.perf_counter()
    status = _end(_start(case.start, reference))
    seconds = time.perf_counter() - start
    if status:
        return 0, [f"{name}: status {status} without a kill: {said(reference)}"]
    expected = case.result(reference)
    while hits < kills and not failures:
        number += 1
        here = _new(folder / f"killed-{number}", case)
        while True:
            process = _start(case.start, here)
            process.join(moments.uniform(0, seconds))
            if process.exitcode is None and hits < kills:
                process.kill()
                process.join()
                hits += 1
                failures += [f"{name}, kill {hits}: {half}" for half in halves(here)]
                continue
            if status := _end(process):
                failures.append(f"{name}: status {status} after a kill: {said(here)}")
            elif (found := case.result(here)) != expected:
                what = differing(found, expected)
                failures.append(f"{name}: another result after {hits} kills: {what}")
            break
        shutil.rmtree(here)
    return hits, failures


def differing(found: Any, expected: Any) -> str:
    """Which entries of a result differ, if it has names."""
    if not isinstance(expected, dict):
        return "all of it is compared as one"
    keys = found.keys() | expected.keys()
    return ", ".join(sorted(key for key in keys if found.get(key) != expected.get(key)))


def lose_rank(strategy: str, victim: int, folder: Path, moments: random.Random) -> list[str]:
    """Kill one of two processes that train together, and run both again to the end.

    Returns:
        What went wrong, one line each.
    """
    alone, here = folder / "undisturbed", folder / "killed"
    for place in (alone, here):
        place.mkdir(parents=True)
        write_teacher(place)
    for process in _ranks(alone, strategy):
        _end(process)
    processes = _ranks(here, strategy)
    while latest_checkpoint(here / "run" / "checkpoints") is None:
        if any(process.exitcode is not None for process in processes):
            return [f"{strategy}: a process ended before the first checkpoint: {said(here)}"]
        time.sleep(0.005)
    time.sleep(moments.uniform(0, 1))
    processes[victim].kill()
    status = _end(processes[1 - victim])
    failures = [f"{strategy}, victim {victim}: {half}" for half in halves(here)]
    line = said(here, 1 - victim)
    if status not in (0, LOST) or (status == LOST and not line.startswith("error: process ")):
        failures.append(f"{strategy}, victim {victim}: the other has status {status}: {line}")
    for process in _ranks(here, strategy):
        if status := _end(process):
            failures.append(f"{strategy}: status {status} after the loss: {said(here)}")
    if not failures and trained(here) != trained(alone):
        failures.append(f"{strategy}, victim {victim}: another result")
    return failures


def _ranks(folder: Path, strategy: str) -> list[Any]:
    port = free_port()
    started = [
        FORKS.Process(target=train_as_rank, args=(folder, strategy, rank, port), daemon=True)
        for rank in (0, 1)
    ]
    for process in started:
        process.start()
    return started


def _new(folder: Path, case: Case) -> Path:
    folder.mkdir(parents=True)
    case.given(folder)
    return folder


def _start(target: Callable[..., None], folder: Path) -> Any:
    process = FORKS.Process(target=target, args=(folder,))
    process.start()
    return process


def _end(process: Any) -> int:
    """The status of a process, which may take minutes."""
    process.join(3600)
    if process.exitcode is None:
        process.kill()
        process.join()
    return process.exitcode


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Kill every program, one after the other; see `tests.hard_use`."""
    moments = random.Random(seed)
    failures: list[str] = []
    made: dict[str, int] = {}
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, kills in KILLS.items():
            made[name], wrong = kill_often(
                name, math.ceil(share * kills), Path(scratch) / name, moments
            )
            failures += wrong
            yield {"kills": made, "lost_ranks": lost, "failures": failures}
        for strategy, victim in RANKS:
            place = Path(scratch) / f"{strategy}-{victim}"
            failures += lose_rank(strategy, victim, place, moments)
            lost.append(f"{strategy}, process {victim}")
            yield {"kills": made, "lost_ranks": lost, "failures": failures}
