"""Loads a converted or trained model, ready to sample.

    from full_scale import load_model

    model = load_model("tldr-di4c.safetensors")
    x = model.sample(4, steps=10, generator=torch.Generator().manual_seed(0))

Files come from `python -m full_scale.convert` and from `python -m full_scale.train`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.latents import LatentLaw, LatentPolicy, Redraw, UniformLatent
from di4c.processes import ForwardProcess
from di4c.rng import Generator
from full_scale.models.base import BackboneConfig, DenoiserConfig, Preset
from full_scale.models.model_file import Model, check_fit
from full_scale.models.network import Network
from full_scale.models.presets import preset, to_json
from full_scale.models.run_weights import Weights, open_weights, weights_in
from full_scale.models.sampling import Plan, draw
from full_scale.models.vqgan import VQGAN

_HARMLESS = {"dropout", "floor", "epsilon"}
"""Fields that may differ from a preset. They affect training or rounding, not what a model is."""

_OF_STUDENTS = {"latent_map", "latent_fade"}
"""Fields that change a student alone. A teacher may differ from a preset in them."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network with its weights, in eval mode, without gradients.

    Attributes:
        backbone: a `DenoiserBackbone` or a `VQGAN`.
        config: its sizes.
        process: the noise that it was made for; None for a VQGAN.
        latent: law of a student's latent; None for a teacher or a VQGAN.
        origin: the source it was loaded from.
        sha256: SHA-256 of its file.
        manifest: record of where its weights come from.
    """

    backbone: nn.Module
    config: BackboneConfig
    process: ForwardProcess | None
    latent: LatentLaw | None
    origin: str
    sha256: str
    manifest: dict[str, Any] = field(repr=False)

    @property
    def is_student(self) -> bool:
        """Whether the network takes a latent."""
        return self.latent is not None

    @property
    def weights(self) -> Weights | None:
        """Whether its weights are averaged or raw; None if that is unknown."""
        return weights_in(self.manifest)

    @property
    def redraw(self) -> Redraw:
        """When a sampler draws the latents that the student was trained for."""
        return self.manifest.get("run", {}).get("redraw") or "per_step"

    @property
    def policy(self) -> LatentPolicy | None:
        """The latents that the student was trained for; None for a teacher."""
        return None if self.latent is None else LatentPolicy(self.redraw, law=self.latent)

    @property
    def training_step(self) -> int | None:
        """Number of training steps behind its weights; None for a converted model."""
        return self.manifest.get("step")

    @property
    def network(self) -> Network:
        """The network as samplers and losses use it.

        Raises:
            ValueError: For a VQGAN.
        """
        if self.process is None:
            raise ValueError(
                f"{self.origin} is a VQGAN, which has no samples; load the transformer of its codes"
            )
        return Network(self.backbone, self.process)

    def sample(
        self,
        num_samples: int,
        steps: int,
        *,
        labels: Int[Tensor, "batch"] | None = None,
        generator: Generator | None = None,
        **options: Any,
    ) -> Int[Tensor, "batch dim"]:
        """Samples by the published sampler, with the latents that a student was trained for.

        Args:
            num_samples: number of samples.
            steps: n, counted as `config.time_grid` says.
            labels: class of each sample, for a model that takes labels; None for "no class".
            generator: source of all randomness.
            **options: further fields of `full_scale.models.sampling.Plan`.

        Returns:
            States (num_samples, D): pixels in the order channel, row, column; or tokens.

        Raises:
            ValueError: For a VQGAN, or options that do not belong to the model.
        """
        plan = Plan(steps, **options)
        drawing = {"latent": self.policy, "labels": labels, "generator": generator}
        return draw(self.network, num_samples, plan, **drawing).samples

    def encode(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Int[Tensor, "batch dim"]:
        """Codes of images in [-1, 1], row by row. These are the tokens of MaskGIT.

        Raises:
            ValueError: If the model is not a VQGAN, or height or width are not divisible by its
                downsampling.
        """
        return self.vqgan.encode(images).flatten(1)

    def decode(
        self, codes: Int[Tensor, "batch dim"], height: int | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        """Images in [-1, 1] of codes.

        Args:
            codes: codes of `encode`, or samples of a MaskGIT.
            height: number of rows of codes; by default the image is square.

        Raises:
            ValueError: If the model is not a VQGAN, or the codes do not fill such a rectangle.
        """
        count = codes.shape[1]
        rows = round(count**0.5) if height is None else height
        if rows < 1 or count % rows or (height is None and rows * rows != count):
            raise ValueError(f"height must divide the {count} codes of an image; got {height}")
        return self.vqgan.decode(codes.unflatten(1, (rows, -1))).clamp(-1, 1)

    @property
    def vqgan(self) -> VQGAN:
        """The backbone of a VQGAN.

        Raises:
            ValueError: If the model is of another kind.
        """
        if not isinstance(self.backbone, VQGAN):
            raise ValueError(
                f"{self.origin} is a {self.config.name} and not a VQGAN; give a file made by: "
                "python -m full_scale.convert vqgan"
            )
        return self.backbone


def load_model(
    source: Path | str,
    *,
    like: str | None = None,
    student: bool | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    weights: Weights | None = None,
) -> Loaded:
    """Load a model file.

    Args:
        source: the file, the folder of a finished training run, a checkpoint of a run such as
            runs/cifar10/checkpoints/step_00005000, or hf://owner/name@revision/file.
        like: name of the preset whose sizes and noise the model must have
            (`full_scale.models.presets`); None for any model.
        student: True for a model that must take a latent, False for one that must not, None for
            either.
        device: where to put it.
        dtype: type of its weights.
        weights: "averaged" or "raw" weights of a training run; None for those that samples have by
            the configuration of the run, which is as published.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a model file, if it lacks the wanted weights, if its weights do not
            fit its config, if its kind, vocabulary, sizes or noise differ from those of `like`, or
            if it is a teacher where a student is needed or the other way round.
    """
    model, origin = open_weights(source, weights)
    if like is not None:
        check_like(model, preset(like), origin)
    latent = isinstance(model.network, DenoiserConfig) and model.network.latent
    if student is not None and student != latent:
        has, wanted = ("a", "teacher") if latent else ("no", "student")
        raise ValueError(f"{origin} has {has} latent; give a {wanted}")
    with torch.device("meta"):
        backbone = model.network.build()
    check_fit(f"{origin} does not fit its config", backbone.state_dict(), model.state)
    backbone.load_state_dict(_placed(model.state, device, dtype), assign=True)
    return Loaded(
        backbone=backbone.eval().requires_grad_(False),
        config=model.network,
        process=None if model.process is None else model.process.build(),
        latent=UniformLatent() if latent else None,
        origin=origin,
        sha256=model.sha256,
        manifest=model.manifest,
    )


def check_like(model: Model, wanted: Preset, name: str) -> None:
    """Check that a model is a teacher or a student of a preset.

    Args:
        model: content of a model file.
        wanted: the preset.
        name: name of the model in messages.

    Raises:
        ValueError: If the kind of network, the vocabulary, a size or the noise differs.
    """
    pairs = [(model.network, wanted.network), (model.process, wanted.process)]
    is_student = isinstance(model.network, DenoiserConfig) and model.network.latent
    ignored = _HARMLESS | {"latent"} | (set() if is_student else _OF_STUDENTS)
    differences = []
    for found, expected in pairs:
        given = {} if found is None else to_json(found)
        right = {} if expected is None else to_json(expected)
        if given.get("kind") != right.get("kind"):
            raise ValueError(
                f"{name} is a {given.get('kind')} model and {wanted.title} is a "
                f"{right.get('kind')} model; give a checkpoint of the preset"
            )
        differences += [
            f"{key} {given[key]} instead of {right[key]}"
            for key in right
            if given[key] != right[key] and key not in ignored
        ]
    if differences:
        raise ValueError(
            f"{name} does not fit {wanted.title}: {', '.join(differences[:4])}; give a checkpoint "
            "of the preset"
        )


def _placed(
    state: dict[str, Tensor], device: torch.device | str, dtype: torch.dtype
) -> dict[str, Tensor]:
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for name, tensor in state.items()
    }
