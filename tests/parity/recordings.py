"""Reading the recordings: what a file says of itself, its tensors, and networks with its weights.

Every size and setting of a test comes from here, so that another recording of the same layout goes
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

# README of the recordings: their float32 outputs are off by up to 2e-5 from float64, and so may
# ours be. For comparison: another epsilon in the norms moves outputs by 4e-5 to 5e-4, the other
# form of GELU by 4e-4 to 2e-3.
FLOAT64 = {"rtol": 1e-5, "atol": 2e-5}
FLOAT32 = {"rtol": 1e-5, "atol": 4e-5}
BY_DTYPE = {torch.float32: FLOAT32, torch.float64: FLOAT64}
FEATURES = {"rtol": 0, "atol": 1e-4}


def description(name: str) -> dict:
    """What the file of that name says of itself."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def tensors(name: str, under: str = "") -> dict[str, Tensor]:
    """Tensors of the file whose names begin with `under`, which is left out of them."""
    return {
        place.removeprefix(under): tensor
        for place, tensor in load_file(FOLDER / f"{name}.safetensors").items()
        if place.startswith(under)
    }


class Recording(NamedTuple):
    """One network."""

    kind: str
    tensors: dict[str, Tensor]
    description: dict
    checkpoint: dict[str, Tensor]

    @property
    def tiny(self) -> dict:
        return self.description["tiny_config"]

    @property
    def config(self) -> BackboneConfig:
        """Its sizes, as the description has them."""
        return SIZES[self.kind](self.tiny)

    @property
    def full_config(self) -> BackboneConfig:
        """Those of the published network, likewise."""
        return SIZES[self.kind](self.description["full_size_config"])

    @property
    def unsaid(self) -> dict:
        """Those of them that the weights do not say."""
        config = self.config
        return {name: getattr(config, name) for name in KINDS[self.kind].unsaid}

    def network(self, ema: bool = False, dtype: torch.dtype = torch.float32) -> nn.Module:
        """The network in eval mode; everything that its weights say is inferred from them."""
        config, state = to_ours(self.kind, self.checkpoint, ema, **self.unsaid)
        assert config == self.config
        network = config.build().to(dtype)
        network.load_state_dict(state)
        return network.eval().requires_grad_(False)

    def unread(self, known: str) -> list[str]:
        """Tensors beside the checkpoint that no test knows."""
        return [n for n in self.tensors if not n.startswith("ckpt/") and not re.fullmatch(known, n)]


def recording(kind: str, name: str) -> Recording:
    checkpoint = tensors(name, "ckpt/")
    assert checkpoint
    return Recording(kind, tensors(name), description(name), checkpoint)


def full_size(recording: Recording) -> BackboneConfig:
    """Sizes from the shapes of the published checkpoint; every name must be used."""
    root = {"tauldr": "model", "maskgit": "model_state_dict"}.get(recording.kind, "state_dict")
    flat = {
        f"{root}/{name}": torch.empty(shape, device="meta")
        for name, shape in recording.description["full_size_state_dict"].items()
        if not name.endswith("inv_freq")  # a buffer whose values are looked at
    }
    return to_ours(recording.kind, flat)[0]
