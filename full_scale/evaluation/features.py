"""Features of pictures for Frechet distances, and class scores for the inception score."""

import importlib
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


class Features(NamedTuple):
    """Features of a batch of pictures.

    Attributes:
        features: (B, F).
        logits: logits of classes, (B, C); None if there is no classifier.
        grey: whether all pictures of the batch are grey, so that the features are three equal
            thirds. If this holds for a whole set, the first third is enough.
    """

    features: Float[Tensor, "batch feature"]
    logits: Float[Tensor, "batch class"] | None
    grey: bool = False


Extractor = Callable[[UInt8[Tensor, "batch 3 height width"]], Features]

EXTRACTORS = ("inception", "pixels")


def open_extractor(name: str, device: torch.device | str = "cpu") -> Extractor:
    """An extractor by name.

    Args:
        name: "inception" for the network of FID and IS (2048 features, torch-fidelity's port of the
            original weights), or "pixels" for the grey levels in [0, 1].
        device: where to run it.

    Raises:
        ValueError: If the name is unknown, or torch-fidelity is not installed or cannot get its
            weights.
    """
    if name == "pixels":
        return pixel_features
    if name == "inception":
        return _Inception(device)
    raise ValueError(f"features must be one of {', '.join(EXTRACTORS)}; got {name!r}")


def pixel_features(pictures: UInt8[Tensor, "batch 3 height width"]) -> Features:
    """All pixels in [0, 1], channel by channel."""
    grey = bool((pictures == pictures[:, :1]).all())
    return Features(pictures.flatten(1).double() / 255, None, grey)


class _Inception:
    """The pool layer and the class scores (without bias) of InceptionV3, for FID and IS."""

    def __init__(self, device: torch.device | str) -> None:
        try:
            module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
        except (ImportError, RuntimeError) as error:  # torchvision for another torch
            raise ValueError(
                f"FID and IS need torch-fidelity ({error}); install it: pip install -e '.[metrics]'"
                ", or use --features pixels"
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
