"""Models ready to sample: three lines for any converted teacher or student.

    from full_scale.models.load import load_model

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

from di4c.latents import LatentLaw, LatentPolicy, UniformLatent
from di4c.processes import ForwardProcess
from di4c.rng import Generator
from full_scale.fit import check_fit
from full_scale.models import VQGAN, BackboneConfig
from full_scale.models.model_file import Model, read_model
from full_scale.models.network import Network
from full_scale.models.presets import Preset, preset, to_json
from full_scale.models.sampling import Plan, draw
from full_scale.models.sources import locate

_HARMLESS = {"dropout", "floor", "epsilon"}
"""Fields that may differ from a preset: they change training or rounding, not what a model is."""


@dataclass(frozen=True, eq=False)
class Loaded:
    """A network with its weights, in eval mode, without gradients.

    Attributes:
        backbone: `UNet`, `MaskGIT`, `DiT` or `VQGAN`.
        config: its sizes.
        kind: "unet", "maskgit", "dit" or "vqgan".
        process: the noise that it was made for; None for a VQGAN.
        latent: law of a student's latent; None for a teacher or a VQGAN.
        origin: the source it was loaded from.
        sha256: of its file.
        manifest: where its weights come from.
    """

    backbone: nn.Module
    config: BackboneConfig
    kind: str
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
    def network(self) -> Network:
        """The network as samplers and losses want it.

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
        """Samples of the model by its published sampler; a student's latents are drawn per step.

        Args:
            num_samples: how many.
            steps: n, counted as `full_scale.models.sampling` says.
            labels: class of each sample, for MaskGIT; None for "no class".
            generator: source of all randomness.
            **options: further fields of `full_scale.models.sampling.Plan`.

        Returns:
            States (num_samples, D): pixels in the order channel, row, column; or tokens.

        Raises:
            ValueError: For a VQGAN, or options that do not belong to the model.
        """
        latent = None if self.latent is None else LatentPolicy(law=self.latent)
        plan = Plan(steps, **options)
        result = draw(
            self.network, num_samples, plan, latent=latent, labels=labels, generator=generator
        )
        return result.samples

    def encode(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Int[Tensor, "batch dim"]:
        """Codes of images in [-1, 1], row by row: the tokens of MaskGIT.

        Raises:
            ValueError: If the model is no VQGAN, or the sides do not fit.
        """
        return self._vqgan().encode(images).flatten(1)

    def decode(
        self, codes: Int[Tensor, "batch dim"], height: int | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        """Images in [-1, 1] of codes.

        Args:
            codes: as from `encode`, or samples of a MaskGIT.
            height: rows of codes; square by default.

        Raises:
            ValueError: If the model is no VQGAN, or so many codes make no such rectangle.
        """
        count = codes.shape[1]
        rows = round(count**0.5) if height is None else height
        if rows < 1 or count % rows or (height is None and rows * rows != count):
            raise ValueError(f"height must divide the {count} codes of an image; got {height}")
        return self._vqgan().decode(codes.unflatten(1, (rows, -1))).clamp(-1, 1)

    def _vqgan(self) -> VQGAN:
        if not isinstance(self.backbone, VQGAN):
            raise ValueError(f"{self.origin} is a {self.kind} and no VQGAN; convert one: vqgan")
        return self.backbone


def load_model(
    source: Path | str,
    *,
    like: str | None = None,
    student: bool | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Loaded:
    """Load a model file.

    Args:
        source: the file, the folder of a finished training run, or hf://owner/name@revision/file.
        like: name of the preset that it must be one of (`full_scale.models.presets`), if any.
        student: whether it must take a latent; None for either.
        device: where to put it.
        dtype: of its weights.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a model file, its weights do not fit its config, or it is of
            another kind, vocabulary, size or noise than `like`, or no student, or no teacher.
    """
    path = Path(str(source)).expanduser()
    if path.is_dir():
        source = path / "model.safetensors"
        if not source.is_file():
            raise FileNotFoundError(f"no model.safetensors in {path}; is the training finished?")
    located = locate(source)
    model = read_model(located.path)
    if like is not None:
        check_like(model, preset(like), located.origin)
    latent = getattr(model.network, "latent", False)
    if student is not None and student != latent:
        has, wanted = ("a", "teacher") if latent else ("no", "student")
        raise ValueError(f"{located.origin} has {has} latent; give a {wanted}")
    with torch.device("meta"):
        backbone = model.network.build()
    check_fit(f"{located.origin} does not fit its config", backbone.state_dict(), model.state)
    backbone.load_state_dict(_placed(model.state, device, dtype), assign=True)
    return Loaded(
        backbone=backbone.eval().requires_grad_(False),
        config=model.network,
        kind=to_json(model.network)["kind"],
        process=None if model.process is None else model.process.build(),
        latent=UniformLatent() if latent else None,
        origin=located.origin,
        sha256=model.sha256,
        manifest=model.manifest,
    )


def check_like(model: Model, wanted: Preset, name: str) -> None:
    """Whether a model is a teacher or a student of a preset.

    Args:
        model: what was read.
        wanted: the preset.
        name: of the model, for messages.

    Raises:
        ValueError: If the kind of network, the vocabulary, a size or the noise differs.
    """
    pairs = [(model.network, wanted.network), (model.process, wanted.process)]
    differences = []
    for found, expected in pairs:
        given = {} if found is None else to_json(found)
        right = {} if expected is None else to_json(expected)
        if given.get("kind") != right.get("kind"):
            raise ValueError(
                f"{name} is a {given.get('kind')} model and {wanted.title} a {right.get('kind')} "
                "one; give the checkpoint that belongs to the recipe"
            )
        differences += [
            f"{key} {given[key]} instead of {right[key]}"
            for key in right
            if given[key] != right[key] and key not in _HARMLESS | {"latent"}
        ]
    if differences:
        raise ValueError(
            f"{name} does not fit {wanted.title}: {', '.join(differences[:4])}; give the "
            "checkpoint that belongs to the recipe"
        )


def _placed(
    state: dict[str, Tensor], device: torch.device | str, dtype: torch.dtype
) -> dict[str, Tensor]:
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for name, tensor in state.items()
    }
