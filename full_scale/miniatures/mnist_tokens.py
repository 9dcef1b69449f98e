"""The miniature "mnist-tokens": 7 x 7 codes of 28 x 28 images, for the codes of ImageNet."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from full_scale.data import mnist_tokens as data
from full_scale.data.share import kept
from full_scale.evaluation.frechet import FeatureMoments, FrechetReference
from full_scale.miniatures.base import Better, Miniature
from full_scale.miniatures.classifier import classifier
from full_scale.models.sampling import Plan

_NAME = "mnist-tokens"

RECIPES = (_NAME, f"{_NAME}-data", f"{_NAME}-data-alone", f"{_NAME}-product", f"{_NAME}-published")

METRICS: dict[str, Better] = {
    "feature_frechet": "lower",
    "pixel_frechet": "lower",
    "class_share": "higher",
    "training_share": "lower",
    "distinct_share": "higher",
}
"""Every metric, and which values are better."""


def score(
    samples: Int[Tensor, "sample 49"],
    labels: Int[Tensor, "sample"] | None,
    part: str,
    share: float = 1.0,
) -> dict[str, float]:
    """Metrics of samples against the items of one part. Both are decoded from their codes.

    - feature_frechet: Frechet distance in the features of the classifier of mnist-tokens.
    - pixel_frechet: Frechet distance of the pixels in [0, 1].
    - class_share: share of samples that the classifier gives the class that was asked for.
    - training_share: share of samples that are nearer to an image that the model was trained on
      than to an image of the part, with equal numbers of both. The training images form groups as
      large as the part; the share is the mean over the groups. It is near 1/2 for a model of the
      law, and near 1 for a model that copies its training images.
    - distinct_share: number of different samples divided by the number of samples.

    Args:
        samples: codes.
        labels: the class that each sample was drawn for.
        part: "validation" or "test".
        share: share of the training images that the model was trained on.

    Raises:
        ValueError: If there are no labels.
    """
    if labels is None:
        raise ValueError("labels are missing; mnist-tokens has classes")
    images = data.decode(samples)
    features, log_probs = classifier(_NAME)(images)
    references = _references(part)
    pixels = images.flatten(1)
    return {
        "feature_frechet": references[0].distance(FeatureMoments.of(features)),
        "pixel_frechet": references[1].distance(FeatureMoments.of(pixels)),
        "class_share": float((log_probs.argmax(1) == labels).double().mean()),
        "training_share": _training_share(pixels, part, share),
        "distinct_share": len(samples.unique(dim=0)) / len(samples),
    }


def floor(part: str) -> dict[str, float]:
    """The metrics of training images against one part.

    They are the first group, as large as the part. For their training share, they are compared with
    the other groups only.
    """
    size = len(data.tokens_of(part)[0])
    tokens, labels = (values[:size] for values in data.tokens_of("train"))
    own = _training_share(data.decode(tokens).flatten(1), part, 1.0, first=1)
    return score(tokens, labels, part) | {"training_share": own}


def shown(samples: Int[Tensor, "sample 49"]) -> list[str]:
    """Each image as its 49 codes in hexadecimal digits, two for each code."""
    return [bytes(row).hex() for row in samples.tolist()]


def pictures(texts: list[str]) -> np.ndarray:
    """Images (N, 28, 28) in [0, 1] of what `shown` gave."""
    codes = [list(bytes.fromhex(text)) for text in texts]
    tokens = torch.tensor(codes, dtype=torch.long).reshape(-1, data.NUM_DIMS)
    return data.decode(tokens).double().numpy()


def plan(calls: int) -> Plan:
    """Positions are revealed by time, without guidance."""
    return Plan(calls, sampler="ancestral")


def labels(count: int) -> Int[Tensor, "sample"]:
    """The classes 0, 1, ..., 9 in turn."""
    return torch.arange(count) % data.NUM_CLASSES


@cache
def _references(part: str) -> tuple[FrechetReference, FrechetReference]:
    """Moments of the features and of the pixels of a part, decoded from its codes."""
    images = _images(part)
    features, _ = classifier(_NAME)(images)
    moments = (FeatureMoments.of(features), FeatureMoments.of(images.flatten(1)))
    first, second = (FrechetReference(m.mean, m.covariance) for m in moments)
    return first, second


@cache
def _images(part: str) -> Float[Tensor, "item 28 28"]:
    return data.decode(data.tokens_of(part)[0])


def _training_share(
    pixels: Float[Tensor, "sample pixel"], part: str, share: float, first: int = 0
) -> float:
    """Mean share over the groups of the seen images, from group number `first` on."""
    held_out, training = _images(part).flatten(1), data.MnistTokens("train")
    seen = _images("train")[kept(training.examples(), share)].flatten(1)
    size = min(len(held_out), len(seen))
    distance = _nearest(pixels, held_out[:size])
    groups = seen.unfold(0, size, size).movedim(-1, 1)[first:]  # groups of equal size only
    shares = [(_nearest(pixels, group) < distance).double().mean() for group in groups]
    return float(torch.stack(shares).mean())


def _nearest(
    points: Float[Tensor, "point pixel"], others: Float[Tensor, "other pixel"]
) -> Float[Tensor, "point"]:
    """Distance of each point to the nearest of the others."""
    return torch.cat([torch.cdist(block, others).amin(1) for block in points.split(1000)])


MINIATURE = Miniature(
    name=_NAME,
    main="feature_frechet",
    metrics=METRICS,
    recipes=RECIPES,
    plan=plan,
    labels=labels,
    score=score,
    floor=floor,
    shown=shown,
    pictures=pictures,
    quick={"steps": 70, "num_latents": 16},
)
