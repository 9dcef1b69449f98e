"""Mutants that change nothing, and why.

`SIZES` has lines that only say how much is done at once: no mutant of them changes a result.
`EQUIVALENT` has single mutants: file, line, line of the mutant. They are in `equivalent.toml`.
"""

import tomllib
from pathlib import Path

_CHUNKS = "the size of a chunk sets time and memory, not the result"

SIZES: dict[tuple[str, str], str] = {
    ("di4c/exact/composition.py", "_CALL_ROWS = "): _CHUNKS,
    ("di4c/exact/composition.py", "_CHUNK_NUMBERS = "): _CHUNKS,
    ("di4c/exact/composition.py", "chunk = max("): _CHUNKS,
    ("di4c/exact/composition.py", "together = min("): _CHUNKS,
    ("di4c/exact/forward.py", "_GROUP_STATES = "): _CHUNKS,
    ("di4c/exact/limits.py", "_MAX_INTERVALS = "): "it sets how long a hopeless integral takes",
    ("di4c/exact/forward.py", "while done + group < num_dims and len(joint)"): _CHUNKS,
    ("di4c/exact/masked.py", "_TAIL_STATES = "): _CHUNKS,
    ("di4c/exact/quadrature.py", "_ROWS = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "_CPU_LOGITS, _GPU_LOGITS = "): _CHUNKS,
    ("di4c/likelihood/checks.py", "pieces = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "logits_per_chunk = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "most = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "size = max("): _CHUNKS,
    ("theory/theorem1/upper_bound/rate.py", "sizes: "): "the claim holds at other sizes too",
}
"""File and first words of a line."""

_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (file, line, mutant): reason
    for reason, files in _TABLE.items()
    for file, pairs in files.items()
    for line, mutant in pairs
}


def reason_of(file: str, line: str, mutant: str) -> str | None:
    """Why a mutant of a line changes nothing; None if nobody has said so."""
    for (where, words), reason in SIZES.items():
        if where == file and line.startswith(words):
            return reason
    return EQUIVALENT.get((file, line, mutant))
