"""What every network says about itself. Other modules ask here and never ask for a class.

Each kind of network is one file beside this one: a frozen dataclass of sizes (a `DenoiserConfig`)
and the network that it builds (a `DenoiserBackbone`). To add a backbone, write such a file with
its own table `PRESETS`, and add that table to `full_scale.models.presets.PRESETS`. Training,
sampling, evaluation and benchmarks then find it by the name of its preset.
`tests/full_scale/test_new_backbone.py` does this with a small network. To convert published
checkpoints of it, add their layout to `full_scale.convert.kinds.KINDS`.

What to ask, and what for:

    config.kind, config.name             key in files, name in messages
    config.build()                       the network with random weights
    config.default_process()             the noise of the published models
    config.num_states, num_dims          S and D
    config.num_classes                   number of labels, or None: does it take labels?
    config.latent                        does it take a latent, i.e. is it a student?
    config.content()                     what samples are: pixels, codes or text
    config.samplers                      samplers by name; the published one is the first
    config.last_step                     whether ancestral sampling ends in a draw or an argmax
    config.time_grid(steps, horizon)     the times that "n steps" visits
    config.first_time                    smallest time at which a teacher is trained
    config.example_inputs(rows)          arguments of a call, to count what it costs
    backbone(x_t, t, labels, latent)     features: one signature for every network
    backbone.head()                      from features to logits
    backbone.transform(x_t, ...)         which states are excluded or kept
    backbone.network_time(t, process)    the time in the network's own unit
"""

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.latents import LatentLaw, UniformLatent
from di4c.likelihood import Head, LogitsTransform
from di4c.processes import ForwardProcess
from full_scale.models.processes import ProcessConfig
from reporting.typed import Within, check_fields

Width = Annotated[int, Within(1, 2**20)]
"""Number of channels, tokens or states."""

Depth = Annotated[int, Within(1, 256)]
"""Number of blocks. A damaged file must not make a network be built for hours."""

Share = Annotated[float, Within(0, 1)]
"""A probability."""


class BackboneConfig(ABC):
    """Sizes of a network of any kind. Subclasses are frozen dataclasses.

    Attributes:
        kind: key of this kind of network in files, as in "unet".
        name: name of this kind in messages, as in "U-Net".
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # tells type checkers: a dataclass

    kind: ClassVar[str]
    name: ClassVar[str]

    def __post_init__(self) -> None:
        """Check types and bounds of the fields; subclasses that override it call it first."""
        check_fields(self)

    @abstractmethod
    def build(self) -> nn.Module:
        """The network, with random weights."""

    def default_process(self) -> ProcessConfig | None:
        """The noise of the published models at these sizes; None for a network without noise."""
        return None


class DenoiserConfig(BackboneConfig):
    """Sizes of a network that denoises: a teacher, or a student if it takes a latent.

    Attributes:
        num_states: S, number of states of a token, including the mask if there is one.
        num_dims: D, number of tokens.
        dropout: dropout rate during training.
        latent: whether the network takes a latent, i.e. is a student.
        num_classes: number of classes; label `num_classes` means "no class". None for a network
            that takes no labels.
        samplers: names of the samplers in `full_scale.models.sampling` that the network can use.
            The first one is the published one.
        last_step: what ancestral sampling does in its last step: draw a sample, or take the argmax.
        first_time: training of a teacher draws times between this one and the horizon.
    """

    num_states: int
    num_dims: int
    dropout: float
    latent: bool
    num_classes: int | None = None

    samplers: ClassVar[tuple[str, ...]] = ("ancestral",)
    last_step: ClassVar[Literal["sample", "argmax"]] = "argmax"
    first_time: ClassVar[float] = 0.0

    @abstractmethod
    def build(self) -> "DenoiserBackbone":
        """The network, with random weights."""

    @abstractmethod
    def default_process(self) -> ProcessConfig:
        """The noise of the published models at these sizes."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """What the samples are, as JSON.

        Returns:
            `{"kind": "pixels", "shape": [channels, height, width], "levels": grey levels}` for
            pixels, `{"kind": "codes"}` for codes of a VQGAN, or `{"kind": "text"}` for tokens of a
            text. Where codes belong to a code book of the repository, "code_book" names it. Where
            the tokens are letters, "alphabet" holds the character of each value.
        """

    @abstractmethod
    def time_grid(self, steps: int, horizon: float) -> Float[Tensor, "time"]:
        """The times of n sampling steps, increasing. Samplers make one call for each interval.

        Args:
            steps: n, counted as in the publication of this network.
            horizon: time of the prior.
        """

    def example_inputs(self, rows: int, num_dims: int | None = None) -> tuple[Tensor | None, ...]:
        """Zeros as arguments of a call: x_t, t, labels, latent. They serve to count its costs.

        They lie on torch's current default device, which may be "meta".

        Args:
            rows: number of rows.
            num_dims: D; that of the config if left out.
        """
        x_t = torch.zeros(rows, num_dims or self.num_dims, dtype=torch.long)
        t = torch.zeros(rows, dtype=torch.float64)  # as in training
        labels = None if self.num_classes is None else torch.zeros(rows, dtype=torch.long)
        return x_t, t, labels, torch.zeros(rows) if self.latent else None


class DenoiserBackbone(nn.Module):
    """A network that denoises. Its features and its head give the logits of each token.

    FSDP shards each block of a child that is an `nn.ModuleList` by itself.

    Attributes:
        config: its sizes.
    """

    config: DenoiserConfig

    def forward(
        self,
        x_t: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"] | None = None,
        labels: Int[Tensor, "batch"] | None = None,
        latent: Tensor | None = None,
    ) -> Float[Tensor, "batch dim feature"]:
        """The features of each token. A network ignores the arguments that it does not use.

        Args:
            x_t: states.
            t: times, as `network_time` returns them.
            labels: classes; None for "no class".
            latent: scalar latents, one for each row; for a student.
        """
        raise NotImplementedError

    def head(self) -> Head:
        """The map from features to the logits of all S states.

        Ask for it after each call. With FSDP, the weights are complete only after a call.
        """
        raise NotImplementedError

    def network_time(
        self, t: Float[Tensor, "row"], process: ForwardProcess
    ) -> Float[Tensor, "row"]:
        """The time in the unit that the network takes: by default the time itself."""
        return t

    def transform(
        self, x_t: Int[Tensor, "batch latent dim"], mask_state: int | None, keep_mask: bool
    ) -> LogitsTransform:
        """What happens to the logits before they are normalised.

        Args:
            x_t: states.
            mask_state: the mask of the process, if it has one.
            keep_mask: True if the mask keeps its share of the softmax, False if it is excluded. A
                network that never predicts the mask excludes it in any case.
        """
        if mask_state is None or keep_mask:
            return LogitsTransform()
        return LogitsTransform(excluded_states=(mask_state,))


@dataclass(frozen=True)
class Preset:
    """A published or small model: its network, its noise, and the law of its latent.

    Attributes:
        title: what it is, for people.
        network: sizes of the network; for a denoiser those of the teacher.
        process: the noise that it was made for; None for a VQGAN.
        latent: law of the student's latent.
        experiment: the experiment that results of this model belong to.
        guidance: weight of classifier-free guidance in the published evaluation; 0 without any.
    """

    title: str
    network: BackboneConfig
    process: ProcessConfig | None = None
    latent: LatentLaw = field(default_factory=UniformLatent)
    experiment: str = "other"
    guidance: float = 0.0

    def student(self) -> DenoiserConfig:
        """The same network with a latent.

        Raises:
            ValueError: For a network that is not a denoiser.
        """
        if not isinstance(self.network, DenoiserConfig):
            raise ValueError(
                f"{self.title} is a {self.network.name} and has no student; choose a denoiser"
            )
        return replace(self.network, latent=True)
