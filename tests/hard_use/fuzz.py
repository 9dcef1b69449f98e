"""Coverage-guided fuzzing: atheris changes a file until the change reaches new code of its reader.

Every file of every format gets the same share of ten minutes, in a process of its own. Each changed
file must be read, or refused in one line that names it. Checksums are recorded again after each
change, so that the code behind them is reached. Needs a package: pip install atheris
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 600
"""Seconds of the long form, for all files together."""

_COVERED = ["full_scale", "reporting", "toys", "numpy.lib", "PIL", "torch._weights_only_unpickler"]
"""Packages whose code guides the changes. They are imported late, for atheris to watch them."""

_ROOT = Path(__file__).parents[2]
_LIMITS = ["-timeout=10", "-rss_limit_mb=3072", "-max_len=8192"]  # seconds, MiB, bytes
_STARTING = 120  # seconds to import and to instrument


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Fuzz every file of every format; see `tests.hard_use`."""
    from tests.hard_use.formats import FORMATS

    if find_spec("atheris") is None:
        raise ValueError("fuzz needs a package: pip install atheris")
    files = [(name, file) for name, kind in FORMATS.items() for file in kind.files]
    seconds = max(2, round(SECONDS * share / len(files)))
    executions, failures = {}, []
    for name, file in files:
        label = f"{name}, {file}"
        executions[label], failure = fuzzed(name, file, seconds, seed)
        failures += [f"{label}: {failure}"] if failure else []
        yield {
            "seconds_for_each_file": seconds,
            "executions": executions,
            "failures": failures,
        }


def fuzzed(name: str, file: str, seconds: int, seed: int) -> tuple[int, str | None]:
    """Number of changed files that were tried, and what went wrong.

    Args:
        name: a format.
        file: the one of its files that is changed.
        seconds: how long.
        seed: seed of the changes.
    """
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.hard_use.fuzz",
                name,
                file,
                place,
                str(seconds),
                str(seed),
            ],
            cwd=_ROOT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=10 * (seconds + _STARTING),
        )
        found = re.search(r"executed_units: (\d+)", done.stderr)
        failure = f"status {done.returncode}: {done.stderr[-500:]!r}" if done.returncode else None
        if (verdict := Path(place, "verdict.json")).exists():
            failure = json.loads(verdict.read_text("utf-8"))
    return int(found[1]) if found else 0, failure


def trial(name: str, file: str, place: Path) -> Callable[[bytes], Any]:
    """A function that reads an example of a format with other bytes in one file: the verdict.

    Args:
        name: a format.
        file: the file that gets the bytes.
        place: an empty folder.
    """
    from full_scale.models.hashes import hash_file, record_sha256
    from tests.hard_use.attempts import judge
    from tests.hard_use.formats import FORMATS

    kind, whole, copy = FORMATS[name], place / "whole", place / "copy"
    whole.mkdir()
    kind.make(whole)

    def verdict(content: bytes) -> Any:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        (copy / file).write_bytes(content)
        if hash_file(copy / file).exists():
            record_sha256(copy / file)
        return judge(lambda: kind.read(copy), (file, copy.name), None)

    return verdict


def main(argv: list[str]) -> None:
    """Fuzz one file until the time is over; the first failure ends it."""
    import atheris

    name, file, folder, seconds, seed = argv
    place, corpus = Path(folder), Path(folder, "corpus")
    with atheris.instrument_imports(include=_COVERED):
        from tests.hard_use.attempts import FAILURES

        verdict = trial(name, file, place)

    def one(content: bytes) -> None:
        found = verdict(content)
        if found.kind in FAILURES:
            text = f"{found.kind}: {found.detail}; the file begins with {content[:100]!r}"
            (place / "verdict.json").write_text(json.dumps(text), "utf-8")
            raise RuntimeError(text)

    corpus.mkdir()
    shutil.copy(place / "whole" / file, corpus)
    options = [f"-max_total_time={seconds}", f"-seed={int(seed) + 1}", "-print_final_stats=1"]
    options += [f"-artifact_prefix={folder}/", *_LIMITS]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
