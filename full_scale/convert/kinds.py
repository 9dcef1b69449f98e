"""Published checkpoints to our models: every published tensor is one of our parameters.

A flat state is a checkpoint whose nested dictionaries are joined by "/". List entries are joined by
their index, as in `model/ema_shadow_params/0`. Every tensor of the network must be used and every
parameter filled. Tensors that belong to training are known by name and ignored.

Our backbones list their parameters in the order of the published ones. Averaged weights need that,
because some checkpoints store them as a list without names.
"""

import re

import torch
from torch import Tensor

from full_scale.convert.layout import Layout
from full_scale.convert.maskgit import MASKGIT
from full_scale.convert.mdlm_sdtt import MDLM_SDTT
from full_scale.convert.tauldr import TAULDR
from full_scale.convert.vqgan import VQGAN
from full_scale.models.base import BackboneConfig
from full_scale.models.model_file import check_fit

State = dict[str, Tensor]

KINDS: dict[str, Layout] = {
    "tauldr": TAULDR,
    "maskgit": MASKGIT,
    "vqgan": VQGAN,
    "mdlm": MDLM_SDTT,
    "sdtt": MDLM_SDTT,
}
"""All kinds of published checkpoints. To convert another kind, add its layout here."""


def to_ours(
    kind: str, flat_state: State, ema: bool = False, **known: object
) -> tuple[BackboneConfig, State]:
    """A published checkpoint as a config and the state dict of the network that it builds.

    Args:
        kind: a key of `KINDS`. The released Di4C students are of the kind of their teacher.
        flat_state: the checkpoint, see the module.
        ema: take the averaged weights instead of the raw ones.
        **known: fields of the config that shapes do not say (`Layout.unsaid`), where they differ
            from the published ones.

    Returns:
        The config, and tensors by our names in the precision of the checkpoint.

    Raises:
        ValueError: If the kind is unknown or has no averaged weights.
        Misfit: If a tensor is missing, left over or of another shape. It lists published names.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    layout = KINDS[kind]
    if ema and layout.averaged is None:
        raise ValueError(
            f"ema must be False for {kind} checkpoints, which hold no averaged weights"
        )
    tensors, rest = _network_tensors(layout, flat_state)
    config = layout.sizes(tensors, **known)
    ours = _parameters(config)
    names = {layout.published(name): name for name in ours}
    wanted = {name: layout.turned(name, ours[names[name]]) for name in names}
    _remove_derived(layout, tensors)
    check_fit(f"not a whole {kind} checkpoint", wanted, tensors | rest)
    if ema:
        tensors = _averaged(layout, flat_state, wanted)
    return config, {names[name]: layout.turned(name, tensors[name]).contiguous() for name in wanted}


def published_names(kind: str, config: BackboneConfig) -> list[str]:
    """The published name of each parameter, in the order of `parameters()`, without prefixes."""
    return [KINDS[kind].published(name) for name in _parameters(config)]


def _network_tensors(layout: Layout, flat_state: State) -> tuple[State, State]:
    """The network's tensors by published name, and by full name those that no rule knows."""
    root = layout.root if any(name.startswith(layout.root) for name in flat_state) else ""
    tensors: State = {}
    rest: State = {}
    for name, tensor in flat_state.items():
        if re.fullmatch(layout.training, name):
            continue
        if not name.startswith(root):
            rest[name] = tensor
            continue
        bare = re.sub(layout.wrappers, "", name.removeprefix(root))
        if bare in tensors:
            raise ValueError(
                f"checkpoint has {bare} twice, with different prefixes; remove one of them"
            )
        tensors[bare] = tensor
    return tensors, rest


def _parameters(config: BackboneConfig) -> State:
    with torch.device("meta"):
        return dict(config.build().named_parameters())


def _remove_derived(layout: Layout, tensors: State) -> None:
    """Remove the tensors that our network computes, after checking their values."""
    for name, right in layout.derived.items():
        found = tensors.pop(name, None)
        if found is None:
            continue
        expected = right(found)
        # A file in half precision holds the rounded values.
        close = max(1e-6, torch.finfo(found.dtype).eps * float(expected.abs().max()))
        if float((found.to(expected) - expected).abs().max()) > close:
            raise ValueError(
                f"{name} has other values than this kind of network computes; the checkpoint is of "
                "another kind"
            )


def _averaged(layout: Layout, flat_state: State, wanted: State) -> State:
    """The averaged weights by published name. The file lists them in the order of parameters."""
    prefix = f"{layout.averaged}/"
    places = sorted(
        int(name.removeprefix(prefix)) for name in flat_state if name.startswith(prefix)
    )
    if places != list(range(len(wanted))):
        raise ValueError(
            f"{layout.averaged} must hold {len(wanted)} averaged tensors, one for each parameter; "
            f"got {len(places)}: take the raw weights (ema=False)"
        )
    averaged = {name: flat_state[f"{prefix}{place}"] for place, name in enumerate(wanted)}
    check_fit(f"{layout.averaged} are not in the order of the parameters", wanted, averaged)
    return averaged
