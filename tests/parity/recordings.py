"""Recorded networks: the file's tensors, its description, and our network with its weights."""

import json
import re
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from full_scale.backbones import BackboneConfig
from full_scale.naming import to_ours
from tests.parity.conftest import FOLDER

# README of the recordings: their float32 outputs are off by up to 2e-5 from float64, and so may
# ours be. For comparison: another epsilon in the norms moves outputs by 4e-5 to 5e-4, the other
# form of GELU by 4e-4 to 2e-3.
FLOAT64 = {"rtol": 1e-5, "atol": 2e-5}
FLOAT32 = {"rtol": 1e-5, "atol": 4e-5}
BY_DTYPE = {torch.float32: FLOAT32, torch.float64: FLOAT64}
FEATURES = {"rtol": 0, "atol": 1e-4}


class Recording(NamedTuple):
    """One file."""

    kind: str
    tensors: dict[str, Tensor]
    description: dict

    @property
    def tiny(self) -> dict:
        return self.description["tiny_config"]

    @property
    def checkpoint(self) -> dict[str, Tensor]:
        return {
            name.removeprefix("ckpt/"): tensor
            for name, tensor in self.tensors.items()
            if name.startswith("ckpt/")
        }

    def network(
        self, known: dict, ema: bool = False, dtype: torch.dtype = torch.float32
    ) -> tuple[nn.Module, BackboneConfig]:
        """The network in eval mode, and its sizes as they were inferred."""
        config, state = to_ours(self.kind, self.checkpoint, ema, **known)
        network = config.build().to(dtype)
        network.load_state_dict(state)
        return network.eval().requires_grad_(False), config

    def unread(self, known: str) -> list[str]:
        """Tensors beside the checkpoint that no test knows."""
        return [n for n in self.tensors if not n.startswith("ckpt/") and not re.fullmatch(known, n)]


def recording(kind: str, name: str) -> Recording:
    description = json.loads((FOLDER / f"{name}.json").read_text())
    return Recording(kind, load_file(FOLDER / f"{name}.safetensors"), description)


def full_size(recording: Recording) -> BackboneConfig:
    """Sizes from the shapes of the full-size checkpoint; every name must be used."""
    root = {"tauldr": "model", "maskgit": "model_state_dict"}.get(recording.kind, "state_dict")
    flat = {
        f"{root}/{name}": torch.empty(shape, device="meta")
        for name, shape in recording.description["full_size_state_dict"].items()
        if not name.endswith("inv_freq")  # a buffer whose values are looked at
    }
    return to_ours(recording.kind, flat)[0]
