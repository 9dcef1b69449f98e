"""Mutants of every format, and hostile pickles: each is read right, or refused in one line.

A refusal names the file. A reader may take ten seconds of a processor and two gibibytes. What a
checksum protects must never be read as something else.
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from full_scale.convert.__main__ import read_checkpoint
from full_scale.models.hashes import record_sha256
from full_scale.training.checkpoint import load_checkpoint
from tests.hard_use.attempts import FAILURES, Verdict, attempt
from tests.hard_use.formats import FORMATS, Format
from tests.hard_use.mutants import Damage, mutants
from tests.helpers.hostile_pickles import archive, attacks

Case = tuple[str, Callable[[], Verdict]]


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Try all mutants and all pickles; see `tests.hard_use`."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        damaged = [*cases(folder, seed, 4)]
        canary = folder / "touched"
        hostile = [*pickles(folder, canary)]
        found = [(name, case()) for name, case in tqdm(damaged + hostile, disable=None)]
        executed = canary.exists()
    failures = [f"{name}: {v.kind}: {v.detail}" for name, v in found if v.kind in FAILURES]
    if executed:
        failures.append("a hostile pickle was executed")
    kinds = Counter(verdict.kind for _, verdict in found[: len(damaged)])
    yield {
        "mutants": len(damaged),
        "mutants_by_verdict": dict(kinds),
        "hostile_pickles": len(hostile),
        "executed": int(executed),
        "failures": failures,
    }


def cases(
    folder: Path, seed: int, number: int, formats: dict[str, Format] = FORMATS
) -> Iterator[Case]:
    """All mutants of some formats.

    Args:
        folder: where the examples are.
        seed: seed of the damage.
        number: about so many mutants of each kind and file.
        formats: the formats; all of them by default.
    """
    chance = random.Random(seed)
    for name, kind in formats.items():
        whole = folder / name.replace(" ", "-")
        whole.mkdir()
        kind.make(whole)
        copy = folder / "whole"
        shutil.copytree(whole, copy)
        opened = attempt(partial(kind.read, copy), ())
        assert opened.kind == "other", (name, opened)  # nothing to compare with yet
        right = opened.detail
        shutil.rmtree(copy)
        for file in kind.files:
            for what, damage in mutants(whole / file, chance, number):
                yield f"{name}, {file}, {what}", partial(_try, kind, whole, file, damage, right)


def _try(kind: Format, whole: Path, file: str, damage: Damage, right: str) -> Verdict:
    copy = Path(tempfile.mkdtemp(dir=whole.parent))
    shutil.copytree(whole, copy, dirs_exist_ok=True)
    damage(copy / file)
    verdict = attempt(partial(kind.read, copy), (file, copy.name), right)
    shutil.rmtree(copy)
    if kind.sealed and verdict.kind == "other":
        return Verdict("traceback", "damaged content was believed")
    return verdict


def pickles(folder: Path, canary: Path) -> Iterator[Case]:
    """Programs that create a file, in every wrapping that a reader of ours opens."""
    wrappings: dict[str, Callable[[Path, bytes], object]] = {
        "an archive": archive,
        "a bare pickle": lambda path, body: path.write_bytes(body),
        "after a pickle": lambda path, body: path.write_bytes(b"\x80\x02N." + body),
        "in the place of the content": lambda path, body: path.write_bytes(
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}." + body
        ),
        "with more storages": lambda path, body: archive(path, body, s0=bytes(16), s1=body),
    }
    for wrapping, write in wrappings.items():
        for name, body in attacks(canary).items():
            for kind, read in (("published", read_checkpoint), ("checkpoint", _trusting)):
                path = folder / f"step_{len([*folder.iterdir()]):08d}.pt"
                write(path, body)
                if kind == "checkpoint":
                    record_sha256(path)
                whole = partial(lambda read, path: str(type(read(path))), read, path)
                yield f"{name} as {wrapping}, {kind}", partial(attempt, whole, (path.name,))


def _trusting(path: Path) -> object:
    return load_checkpoint(path)
