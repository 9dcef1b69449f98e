"""Makes the code book of mnist-tokens: k-means of patches, and a small decoder.

The codes are the centres of k-means over the patches of the training images. Value 0 is the black
patch. The centres are rounded to whole grey levels, so that encoding is exact. The decoder adds to
each patch a correction that depends on the neighbouring codes. It is trained by the mean squared
error of the training images.

    python -m full_scale.miniatures.codes
"""

import math

import numpy as np
import torch
from tqdm import trange

from full_scale.data import mnist_tokens as data
from full_scale.data.mnist_tokens import NUM_VALUES, PATCH
from full_scale.models.tensor_file import file_sha256, write_tensors
from reporting import at_least, manifest, run_script, script_parser, write_json

EMBEDDING, WIDTH = 16, 64
"""Sizes of the decoder."""

_BATCH = 128


def main(argv: list[str] | None = None) -> None:
    """Make the code book, measure it, and put it into the repository."""
    parser = script_parser(__doc__, json=False, figure=False, quick=False)
    parser.prog = "python -m full_scale.miniatures.codes"
    parser.add_argument(
        "--steps", type=at_least(1), default=3000, help="training steps of the decoder"
    )
    args = parser.parse_args(argv)
    images = data.shifted(data.part("train")[0]).flatten(0, 1)
    book = decoder(images, centres(images, args.seed), args.steps, args.seed)
    errors = {part: error(data.part(part)[0], book) for part in ("train", "validation", "test")}
    print(f"mean squared error of the test images: {errors['test']['decoder']:.4f}")
    provenance = manifest(args.seed)  # before the new file makes the clone differ from its commit
    write_tensors(data.CODE_BOOK, book, {"kind": "mnist-tokens-codes"})
    description = {
        "sha256": file_sha256(data.CODE_BOOK),
        "mean_squared_error": errors,
        "manifest": provenance,
    }
    write_json(data.CODE_BOOK.with_suffix(".json"), description)
    print(f"written to {data.CODE_BOOK}")


def centres(images: torch.Tensor, seed: int) -> torch.Tensor:
    """K-means of all patches that are not black: (128, 16) uint8, the first one black."""
    from sklearn.cluster import MiniBatchKMeans

    patches = data.patches(images).flatten(0, 1)
    drawn = patches[patches.sum(1) > 0].float().numpy()
    search = MiniBatchKMeans(
        NUM_VALUES - 1, random_state=seed, batch_size=2**14, n_init="auto", max_iter=30
    ).fit(drawn)
    black = np.zeros((1, PATCH * PATCH))
    found = np.concatenate([black, search.cluster_centers_]).round().clip(0, 255)
    return torch.from_numpy(found.astype(np.uint8))


def decoder(
    images: torch.Tensor, codes: torch.Tensor, steps: int, seed: int
) -> dict[str, torch.Tensor]:
    """The code book: the codes and the weights of a trained decoder."""
    generator = torch.Generator().manual_seed(seed)
    kernel = torch.randn(WIDTH, EMBEDDING, 3, 3, generator=generator) / math.sqrt(9 * EMBEDDING)
    weights = {
        "embedding": torch.randn(NUM_VALUES, EMBEDDING, generator=generator),
        "convolution": kernel,
        "convolution_bias": torch.zeros(WIDTH),
        "output": torch.zeros(PATCH * PATCH, WIDTH),
    }
    for weight in weights.values():
        weight.requires_grad_()
    tokens = data.encode(images, codes)
    adam = torch.optim.Adam(weights.values(), 3e-3)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    for _ in trange(steps, unit="step", leave=False):
        chosen = torch.randint(len(images), (_BATCH,), generator=generator)
        found = data.decoded(tokens[chosen], weights | {"codes": codes})
        loss = (found - images[chosen].float() / 255).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        plan.step()
    return {"codes": codes} | {name: weight.detach() for name, weight in weights.items()}


def error(images: torch.Tensor, book: dict[str, torch.Tensor]) -> dict[str, float]:
    """Mean squared errors of images and their shifts, with pixels in [0, 1]."""
    images = data.shifted(images).flatten(0, 1)
    tokens, truth = data.encode(images, book["codes"]), images.float() / 255
    with torch.no_grad():
        found = torch.cat([data.decoded(block, book) for block in tokens.split(1000)])
    patches = book["codes"].float()[tokens] / 255
    return {
        "codes": float((patches - data.patches(truth)).square().mean()),
        "decoder": float((found.clamp(0, 1) - truth).square().mean()),
    }


if __name__ == "__main__":
    run_script(main)
