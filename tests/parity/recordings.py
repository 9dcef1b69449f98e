"""Reads the recordings: descriptions, tensors, and networks with the recorded weights.

Every size and setting of a test comes from here, so another recording of the same layout passes
through the same tests.
"""

import json
import re
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from full_scale.convert.kinds import KINDS, to_ours
from full_scale.models import BackboneConfig
from tests.parity.conftest import FOLDER
from tests.parity.sizes import SIZES

# The float32 outputs of the recordings differ from float64 by up to 2e-5 (their README), and ours
# may do so, too. For comparison: another epsilon in the norms changes outputs by 4e-5 to 5e-4, and
# the other form of GELU by 4e-4 to 2e-3.
FLOAT64 = {"rtol": 1e-5, "atol": 2e-5}
FLOAT32 = {"rtol": 1e-5, "atol": 4e-5}
BY_DTYPE = {torch.float32: FLOAT32, torch.float64: FLOAT64}
FEATURES = {"rtol": 0, "atol": 1e-4}


def description(name: str) -> dict:
    """The description that belongs to the file of this name."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def tensors(name: str, under: str = "") -> dict[str, Tensor]:
    """Tensors of the file whose names begin with `under`, by the rest of their names."""
    return {
        place.removeprefix(under): tensor
        for place, tensor in load_file(FOLDER / f"{name}.safetensors").items()
        if place.startswith(under)
    }


class Recording(NamedTuple):
    """The recording of one network."""

    kind: str
    tensors: dict[str, Tensor]
    description: dict
    checkpoint: dict[str, Tensor]

    @property
    def tiny(self) -> dict:
        return self.description["tiny_config"]

    @property
    def config(self) -> BackboneConfig:
        """Sizes of the network, from the description."""
        return SIZES[self.kind](self.tiny)

    @property
    def full_config(self) -> BackboneConfig:
        """Sizes of the published network, from the description."""
        return SIZES[self.kind](self.description["full_size_config"])

    @property
    def unsaid(self) -> dict:
        """The sizes that cannot be inferred from the weights."""
        config = self.config
        return {name: getattr(config, name) for name in KINDS[self.kind].unsaid}

    def network(self, ema: bool = False, dtype: torch.dtype = torch.float32) -> nn.Module:
        """The network in eval mode. Its sizes are inferred from the weights as far as possible."""
        config, state = to_ours(self.kind, self.checkpoint, ema, **self.unsaid)
        assert config == self.config
        network = config.build().to(dtype)
        network.load_state_dict(state)
        return network.eval().requires_grad_(False)

    def unread(self, known: str) -> list[str]:
        """Names of tensors beside the checkpoint that no test reads."""
        return [n for n in self.tensors if not n.startswith("ckpt/") and not re.fullmatch(known, n)]


def recording(kind: str, name: str) -> Recording:
    checkpoint = tensors(name, "ckpt/")
    assert checkpoint
    return Recording(kind, tensors(name), description(name), checkpoint)


def full_size(recording: Recording) -> BackboneConfig:
    """Sizes inferred from the shapes of the published checkpoint. Every name must be used."""
    root = {"tauldr": "model", "maskgit": "model_state_dict"}.get(recording.kind, "state_dict")
    flat = {
        f"{root}/{name}": torch.empty(shape, device="meta")
        for name, shape in recording.description["full_size_state_dict"].items()
        if not name.endswith("inv_freq")  # a buffer, of which the values matter
    }
    return to_ours(recording.kind, flat)[0]
