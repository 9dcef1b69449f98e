"""Coverage-guided fuzzing: atheris changes a file until the change reaches new code of its reader.

Every file of every format gets the same share of ten minutes, in a fork of its own. Each changed
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
import traceback
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 600
"""Seconds of the long form, for all files together."""

_COVERED = ["full_scale", "reporting", "toys"]
"""Packages whose code guides the changes. They are imported late, for atheris to watch them."""

_OPTIONS = ["-timeout=10", "-rss_limit_mb=3072", "-max_len=8192", "-print_final_stats=1"]
"""Limits of one file in seconds, MiB and bytes."""


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Fuzz every file of every format; see `tests.hard_use`."""
    if find_spec("atheris") is None:
        raise ValueError("fuzz needs a package: pip install atheris")
    executions: dict[str, int] = {}
    failures: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hard_use.fuzz", str(SECONDS * share), str(seed)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as loop:
        for label, tried, failure in map(json.loads, loop.stdout or ()):
            executions[label] = tried
            failures += [f"{label}: {failure}"] if failure else []
            yield {"executions": executions, "failures": failures}
    if loop.returncode:
        raise RuntimeError(f"the fuzzer ended with status {loop.returncode}")


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


def fuzzed(name: str, file: str, seconds: int, seed: int) -> tuple[int, str | None]:
    """Number of changed files that were tried in a fork, and what went wrong."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        child = os.fork()
        if child == 0:
            try:
                with (place / "said.txt").open("wb") as said:
                    os.dup2(said.fileno(), 1)
                    os.dup2(said.fileno(), 2)
                _fuzz(name, file, seconds, seed, place)
            except BaseException:
                traceback.print_exc()
            finally:  # leave everything that the parent has opened alone
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = (place / "said.txt").read_text("utf-8", "replace")
        found = re.search(r"executed_units: (\d+)", text)
        failure = f"status {status}: {text[-500:]!r}" if status else None
        if (verdict := place / "verdict.txt").exists():
            failure = verdict.read_text("utf-8")
    return int(found[1]) if found else 0, failure


def _fuzz(name: str, file: str, seconds: int, seed: int, place: Path) -> None:
    """Fuzz one file until the time is over, or up to the first failure."""
    import atheris

    from tests.hard_use.attempts import FAILURES

    verdict, corpus = trial(name, file, place), place / "corpus"

    def one(content: bytes) -> None:
        found = verdict(content)
        if found.kind in FAILURES:
            text = f"{found.kind}: {found.detail}; the file begins with {content[:100]!r}"
            (place / "verdict.txt").write_text(text, "utf-8")
            raise RuntimeError(text)

    corpus.mkdir()
    shutil.copy(place / "whole" / file, corpus)
    options = [f"-max_total_time={seconds}", f"-seed={seed + 1}", f"-artifact_prefix={place}/"]
    atheris.Setup([sys.argv[0], *options, *_OPTIONS, str(corpus)], one)
    atheris.Fuzz()


def main(seconds: float, seed: int) -> None:
    """Fuzz all files. Each gets a line of JSON: its name, how many were tried, what went wrong."""
    import atheris

    with atheris.instrument_imports(include=_COVERED):
        from tests.hard_use.formats import FORMATS
    files = [(name, file) for name, kind in FORMATS.items() for file in kind.files]
    for name, file in files:
        found = fuzzed(name, file, max(1, round(seconds / len(files))), seed)
        print(json.dumps((f"{name}, {file}", *found)), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
