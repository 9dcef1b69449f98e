"""All models by name, and their configurations as JSON, which checkpoints carry in their metadata.

This is the one place where backbones are registered. A new backbone is a file beside this one with
a table `PRESETS`, and that table added here.
"""

from dataclasses import asdict
from typing import Any

from full_scale.models import dit, maskgit, unet, vqgan
from full_scale.models.base import BackboneConfig, Preset
from full_scale.models.processes import (
    GaussianProcessConfig,
    MaskedProcessConfig,
    ProcessConfig,
)
from reporting.typed import typed

PRESETS: dict[str, Preset] = unet.PRESETS | maskgit.PRESETS | dit.PRESETS | vqgan.PRESETS


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: If there is none; the message lists all names.
    """
    if name not in PRESETS:
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}; got {name!r}")
    return PRESETS[name]


Config = BackboneConfig | ProcessConfig


def to_json(config: Config) -> dict[str, Any]:
    """The fields of a configuration and its kind, in a form that JSON can hold."""
    return {"kind": config.kind} | asdict(config)


def from_json(value: dict[str, Any]) -> Config:
    """The configuration that `to_json` wrote. Fields that are missing get their defaults.

    Raises:
        ValueError: If the kind or a field is unknown.
    """
    given = dict(value)
    kind = given.pop("kind", None)
    kinds = _kinds()
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"kind must be one of {', '.join(kinds)}; got {kind!r}")
    return typed(kinds[kind], given, f"{kind} config")


def _kinds() -> dict[str, type[Config]]:
    """Each configuration class by its kind: those of all presets, and the processes."""
    networks = (type(entry.network) for entry in PRESETS.values())
    return {cls.kind: cls for cls in (*networks, GaussianProcessConfig, MaskedProcessConfig)}
