"""Features of pictures that Frechet distances compare, and class scores for the inception score."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


class Features(NamedTuple):
    """What an extractor makes of a batch of pictures.

    Attributes:
        features: (B, F).
        logits: of classes, (B, C); None where there is no classifier.
        grey: whether all pictures are grey and their features three equal thirds. Where a whole
            *set* is, the first third says it all; of a batch of a set this cannot be told.
    """

    features: Float[Tensor, "batch feature"]
    logits: Float[Tensor, "batch class"] | None
    grey: bool = False


Extractor = Callable[[UInt8[Tensor, "batch 3 height width"]], Features]

EXTRACTORS = ("inception", "pixels")


def open_extractor(name: str, device: torch.device | str = "cpu") -> Extractor:
    """An extractor by name.

    Args:
        name: "inception", the network of FID and IS (2048 features, torch-fidelity's port of the
            original weights), or "pixels", grey levels in [0, 1] themselves.
        device: where to run it.

    Raises:
        ValueError: If the name is unknown, torch-fidelity is not installed or cannot get its
            weights.
    """
    if name == "pixels":
        return pixel_features
    if name == "inception":
        return _Inception(device)
    raise ValueError(f"features must be one of {', '.join(EXTRACTORS)}; got {name!r}")


def pixel_features(pictures: UInt8[Tensor, "batch 3 height width"]) -> Features:
    """All pixels, channel by channel."""
    grey = bool((pictures == pictures[:, :1]).all())
    return Features(pictures.flatten(1).double() / 255, None, grey)


class _Inception:
    """The pool layer and the class scores (without bias) of InceptionV3 as FID and IS use it."""

    def __init__(self, device: torch.device | str) -> None:
        try:
            module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
            raise ValueError(
                f"FID and IS need torch-fidelity ({error}); install it: pip install -e '.[metrics]'"
                ", or take --features pixels"
            ) from None
        try:
            network = module.FeatureExtractorInceptionV3(
                "inception-v3-compat", ["2048", "logits_unbiased"], verbose=False
            )
        except OSError as error:
            raise ValueError(
                f"the weights of Inception cannot be downloaded ({error}); put the file "
                "weights-inception-2015-12-05-6726825d.pth of torch-fidelity's release v0.2.0 into "
                f"{torch.hub.get_dir()}/checkpoints"
            ) from None
        self.network, self.device = network.to(device).eval(), device

    def __call__(self, pictures: Tensor) -> Features:
        with torch.no_grad():
            features, logits = self.network(pictures.to(self.device))
        return Features(features.cpu(), logits.cpu())
