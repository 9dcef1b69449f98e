"""Published checkpoints as their programs would save them, around the weights of tiny networks."""

import argparse
import sys
import types
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from full_scale.convert.kinds import published_names
from tests.helpers.tiny_models import DIT, MASKGIT, UNET, VQGAN

CONFIGS = {"tauldr": UNET, "maskgit": MASKGIT, "vqgan": VQGAN, "mdlm": DIT, "sdtt": DIT}
"""A tiny network of each kind of checkpoint."""

UNSAID: dict[str, dict[str, int]] = {
    "tauldr": {"num_states": 9, "height": 4, "width": 6},
    "maskgit": {"num_classes": 3, "num_heads": 3},
    "vqgan": {"resolution": 8, "num_groups": 4},
    "mdlm": {"num_dims": 6, "num_heads": 3},
    "sdtt": {"num_dims": 6, "num_heads": 3},
}
"""The sizes of these networks that their weights do not say."""


def nested(flat: dict[str, Tensor]) -> dict[str, Any]:
    """Nested dictionaries and lists from names that are joined by slashes."""
    tree: dict[str, Any] = {}
    for name, tensor in flat.items():
        *levels, last = name.split("/")
        node = tree
        for level in levels:
            node = node.setdefault(level, {})
        node[last] = tensor.item() if tensor.ndim == 0 and "num" in last + "decay" else tensor
    return _with_lists(tree)


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.isdigit() for key in node):
        return [_with_lists(node[key]) for key in sorted(node, key=int)]
    return {key: _with_lists(value) for key, value in node.items()}


PREFIXES = {"tauldr": "net.", "maskgit": "", "vqgan": "", "mdlm": "backbone.", "sdtt": "backbone."}


def checkpoint(kind: str, network: torch.nn.Module) -> dict[str, Any]:
    """A checkpoint of a network in the layout of its kind. Averaged weights are larger by one."""
    names = published_names(kind, network.config)
    weights = [
        # tauLDR stores matrices called W as (in, out).
        parameter.detach().T.contiguous() if name.endswith(".W") else parameter.detach()
        for name, parameter in zip(names, network.parameters(), strict=True)
    ]
    state = {PREFIXES[kind] + name: weight for name, weight in zip(names, weights, strict=True)}
    averaged = [weight + 1 for weight in weights]
    if kind == "tauldr":
        ema = {"ema_decay": 0.9999, "ema_num_updates": 5, "ema_shadow_params": averaged}
        content: dict[str, Any] = {"model": state | ema}
    elif kind == "maskgit":
        content = {"model_state_dict": state}
    elif kind == "vqgan":
        content = {"state_dict": state}
    else:
        ema = {"decay": 0.9999, "num_updates": 5, "shadow_params": averaged}
        content = {"state_dict": state, "ema": ema}
    return content | surroundings(kind)


def surroundings(kind: str) -> dict[str, Any]:
    """What such a checkpoint holds besides the network: optimizer, counters, config objects."""
    weight = torch.nn.Parameter(torch.ones(3))
    rule = torch.optim.Adam([weight])
    weight.sum().backward()
    rule.step()
    if kind == "tauldr":
        return {"optimizer": rule.state_dict(), "n_iter": 1999999}
    if kind == "maskgit":
        return {"optimizer_state_dict": rule.state_dict(), "iter": 12, "global_epoch": 3}
    config = config_object()
    return {
        "epoch": 0,
        "global_step": 70000,
        "pytorch-lightning_version": "2.2.1",
        "checkpoint_callback_best_model_score": torch.tensor(1.5),
        "native_amp_scaling_state": {"scale": 65536.0, "growth_interval": 2000},
        "MixedPrecision": {"scale": 65536.0, "_growth_tracker": 3},
        "optimizer_states": [rule.state_dict()],
        "lr_schedulers": [{"last_epoch": 5, "_last_lr": [3e-5]}],
        "callbacks": {type(config): {"best_model_score": torch.tensor(1.5), "dirpath": Path("x")}},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "hyper_parameters": {"config": config, "args": argparse.Namespace(round=7)},
    }


def config_object() -> Any:
    """An object like those of OmegaConf. Its module no longer exists when the file is read."""
    module = types.ModuleType("omegaconf_of_long_ago")
    cls = type("DictConfig", (), {"__module__": module.__name__})
    module.DictConfig = cls
    sys.modules[module.__name__] = module
    config = cls()
    config._content = {"lr": 3e-5, "model": {"length": 1024}}
    return config


def save(path: Path, content: dict[str, Any]) -> Path:
    """Save by torch.save, then remove the module of `config_object`."""
    torch.save(content, path)
    sys.modules.pop("omegaconf_of_long_ago", None)
    return path
