"""Published models and small ones: network, the noise that it was made for, law of its latent.

All of it is data: `to_json` and `from_json` carry it through a checkpoint's metadata.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from di4c.latents import LatentLaw, UniformLatent
from di4c.processes import MaskedProcess, RateMatrixProcess, gaussian_process
from di4c.schedules import ArccosSchedule, LinearSchedule, LogLinearSchedule
from full_scale.models import (
    BackboneConfig,
    DenoiserConfig,
    DiTConfig,
    MaskGITConfig,
    UNetConfig,
    VQGANConfig,
)


@dataclass(frozen=True)
class GaussianProcessConfig:
    """Arguments of `di4c.processes.gaussian_process`; those of CIFAR-10 by default."""

    num_states: int = 256
    rate_sigma: float = 6.0
    stationary_sigma: float = 512.0
    time_base: float = 3.0
    time_exponential: float = 100.0
    floor: float = 1e-8
    epsilon: float = 1e-9

    def build(self) -> RateMatrixProcess:
        """The process."""
        return gaussian_process(**asdict(self))


_SCHEDULES = {
    "arccos": ArccosSchedule,
    "linear": LinearSchedule,
    "log-linear": LogLinearSchedule,
}


@dataclass(frozen=True)
class MaskedProcessConfig:
    """A masked process.

    Attributes:
        num_values: values of a token, the mask not counted.
        schedule: "arccos" (MaskGIT), "log-linear" (MDLM, SDTT) or "linear".
    """

    num_values: int
    schedule: str = "linear"

    def __post_init__(self) -> None:
        if self.schedule not in _SCHEDULES:
            names = ", ".join(map(repr, _SCHEDULES))
            raise ValueError(f"schedule must be one of {names}; got {self.schedule!r}")

    @property
    def num_states(self) -> int:
        """S, the mask included."""
        return self.num_values + 1

    def build(self) -> MaskedProcess:
        """The process."""
        return MaskedProcess(self.num_values, _SCHEDULES[self.schedule]())


ProcessConfig = GaussianProcessConfig | MaskedProcessConfig


@dataclass(frozen=True)
class Preset:
    """One model.

    Attributes:
        title: what it is, for people.
        network: sizes of the teacher (a tokenizer has no student).
        process: the noise that it was made for; None for a tokenizer.
        latent: law of the student's latent.
    """

    title: str
    network: BackboneConfig
    process: ProcessConfig | None = None
    latent: LatentLaw = field(default_factory=UniformLatent)

    def student(self) -> DenoiserConfig:
        """The same network with a latent.

        Raises:
            ValueError: For a tokenizer.
        """
        if isinstance(self.network, VQGANConfig):
            raise ValueError(f"{self.title} is a tokenizer and has no student: use a denoiser")
        return replace(self.network, latent=True)


PRESETS: dict[str, Preset] = {
    "tauldr-cifar10": Preset("tauLDR on CIFAR-10 pixels", UNetConfig(), GaussianProcessConfig()),
    "maskgit-imagenet": Preset(
        "MaskGIT on ImageNet tokens, 256 x 256 pixels",
        MaskGITConfig(),
        MaskedProcessConfig(1024, "arccos"),
    ),
    "vqgan-imagenet": Preset("VQGAN of ImageNet, 1024 codes, f = 16", VQGANConfig()),
    "sdtt-owt": Preset(
        "MDLM and SDTT on OpenWebText, GPT-2 tokens",
        DiTConfig(),
        MaskedProcessConfig(50257, "log-linear"),
    ),
    "digits": Preset(
        "small U-Net on 8 x 8 digits with 17 grey levels",
        UNetConfig(
            num_states=17,
            channels=1,
            height=8,
            width=8,
            base_width=24,
            multipliers=(1, 2),
            num_res_blocks=1,
            time_features=32,
        ),
        # q_1 is within 1e-4 of the prior in total variation, whatever the grey level at 0.
        GaussianProcessConfig(
            17, rate_sigma=1.0, stationary_sigma=34.0, time_base=1.0, floor=0.0, epsilon=0.0
        ),
    ),
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: If there is none; the message lists them.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]


def default_process(network: BackboneConfig) -> ProcessConfig | None:
    """The noise of the published models of this kind, at the network's sizes."""
    if isinstance(network, UNetConfig):
        return GaussianProcessConfig(network.num_states)
    if isinstance(network, MaskGITConfig):
        return MaskedProcessConfig(network.codebook_size, "arccos")
    if isinstance(network, DiTConfig):
        return MaskedProcessConfig(network.num_states - 1, "log-linear")
    return None


Config = BackboneConfig | ProcessConfig

_KINDS: dict[str, type[Config]] = {
    "unet": UNetConfig,
    "maskgit": MaskGITConfig,
    "vqgan": VQGANConfig,
    "dit": DiTConfig,
    "gaussian": GaussianProcessConfig,
    "masked": MaskedProcessConfig,
}


def to_json(config: Config) -> dict[str, Any]:
    """The config's fields and, as "kind", its type: JSON can hold it."""
    kind = next(kind for kind, cls in _KINDS.items() if type(config) is cls)
    return {"kind": kind} | asdict(config)


def from_json(value: dict[str, Any]) -> Config:
    """The config that `to_json` wrote; fields that are not there keep their defaults.

    Raises:
        ValueError: If the kind or a field is unknown.
    """
    given = dict(value)
    kind = given.pop("kind", None)
    if kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}; got {kind!r}")
    known = {entry.name for entry in fields(_KINDS[kind])}
    if unknown := sorted(given.keys() - known):
        raise ValueError(
            f"a {kind} config has no {', '.join(unknown)}; it has {', '.join(sorted(known))}"
        )
    return _KINDS[kind](**given)
