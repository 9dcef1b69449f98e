"""The miniature "digits": 8 x 8 images with 17 grey levels, for the pixels of CIFAR-10."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from full_scale.data import digits as data
from full_scale.data.share import kept
from full_scale.evaluation.frechet import FeatureMoments, FrechetReference
from full_scale.miniatures.base import Better, Miniature
from full_scale.miniatures.classifier import classifier
from full_scale.models.sampling import Plan

METRICS: dict[str, Better] = {
    "feature_frechet": "lower",
    "pixel_frechet": "lower",
    "training_share": "lower",
    "distinct_share": "higher",
}
"""Every metric, and which values are better."""

_LEVELS = "0123456789abcdefg"  # one character for each grey level


def score(
    samples: Int[Tensor, "sample 64"], labels: Tensor | None, part: str, share: float = 1.0
) -> dict[str, float]:
    """Metrics of samples against the images of one part.

    - feature_frechet: Frechet distance in the features of the classifier of digits.
    - pixel_frechet: Frechet distance of the grey levels in [0, 1].
    - training_share: share of samples that are nearer to an image that the model was trained on
      than to an image of the part, with equal numbers of both. It is near 1/2 for a model of the
      law, and near 1 for a model that copies its training images.
    - distinct_share: number of different samples divided by the number of samples.

    Args:
        samples: grey levels 0..16, row by row.
        labels: ignored.
        part: "validation" or "test".
        share: share of the training images that the model was trained on.
    """
    real, training, grey = _real(part), _training(share), _grey(samples)
    count = min(len(real), len(training))
    nearer = _nearest(grey, training[:count]) < _nearest(grey, real[:count])
    features, pixels = _references(part)
    return {
        "feature_frechet": features.distance(FeatureMoments.of(_features(samples))),
        "pixel_frechet": pixels.distance(FeatureMoments.of(grey)),
        "training_share": float(nearer.double().mean()),
        "distinct_share": len(samples.unique(dim=0)) / len(samples),
    }


def floor(part: str) -> dict[str, float]:
    """The metrics of the training images against one part.

    The training share is that of the training images that the metric does not compare with.
    """
    images = data.part("train")[0]
    rest = images[len(data.part(part)[0]) :]
    return score(images, None, part) | {"training_share": score(rest, None, part)["training_share"]}


def shown(samples: Int[Tensor, "sample 64"]) -> list[str]:
    """Each image as 64 characters, row by row: 0 is black and g is white."""
    return ["".join(_LEVELS[level] for level in image) for image in samples.tolist()]


def pictures(texts: list[str]) -> np.ndarray:
    """Images (N, 8, 8) in [0, 1] of what `shown` gave."""
    levels = [[_LEVELS.index(character) for character in text] for text in texts]
    return np.array(levels).reshape(-1, data.SIDE, data.SIDE) / (data.NUM_VALUES - 1)


@cache
def _references(part: str) -> tuple[FrechetReference, FrechetReference]:
    """Moments of the features and of the grey levels of a part."""
    moments = [FeatureMoments.of(f) for f in (_features(data.part(part)[0]), _real(part))]
    features, pixels = (FrechetReference(m.mean, m.covariance) for m in moments)
    return features, pixels


def _real(part: str) -> Float[Tensor, "image 64"]:
    return _grey(data.part(part)[0])


def _training(share: float) -> Float[Tensor, "image 64"]:
    images = data.part("train")[0]
    return _grey(images[kept(torch.arange(len(images)), share)])


def _features(images: Int[Tensor, "image 64"]) -> Float[Tensor, "image feature"]:
    grey = _grey(images).unflatten(1, (data.SIDE, data.SIDE))
    return classifier("digits")(grey)[0]


def _nearest(
    points: Float[Tensor, "point 64"], others: Float[Tensor, "other 64"]
) -> Float[Tensor, "point"]:
    """Distance of each point to the nearest of the others."""
    return torch.cdist(points, others).amin(1)


def _grey(images: Int[Tensor, "image 64"]) -> Float[Tensor, "image 64"]:
    return images.double() / (data.NUM_VALUES - 1)


MINIATURE = Miniature(
    name="digits",
    main="feature_frechet",
    metrics=METRICS,
    recipes=("digits", "digits-data", "digits-data-alone", "digits-product", "digits-published"),
    plan=Plan,
    labels=lambda count: None,
    score=score,
    floor=floor,
    shown=shown,
    pictures=pictures,
    # A larger gain than in a full training, because the components must differ within few steps.
    quick={"steps": 300, "num_latents": 16, "latent_gain": 3.0},
)
