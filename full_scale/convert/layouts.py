"""Foreign checkpoints to ours: which published tensor is which parameter, strictly.

A flat state is a checkpoint with its nested dictionaries joined by "/" and list entries by their
index, as in `model/ema_shadow_params/0`. Every tensor of the network must be used and every
parameter filled; what belongs to training alone is known by name and left.

Parameters of our backbones come in the order of the published ones, which is what a bare list of
averaged weights counts on.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from full_scale.convert.sizes import dit_config, maskgit_config, unet_config, vqgan_config
from full_scale.models import BackboneConfig, DiTConfig
from full_scale.models.model_file import check_fit
from full_scale.models.rotary import rotary_frequencies

State = dict[str, Tensor]


@dataclass(frozen=True)
class Layout:
    """How one kind of checkpoint is laid out.

    Attributes:
        sizes: (tensors by published name, **known fields) -> config.
        rules: (pattern, replacement) pairs that, one after the other, turn our names into the
            published ones.
        root: where the network is, unless it is all there is to a file.
        wrappers: prefixes of names, removed wherever they stand.
        training: pattern of what is not of the network.
        averaged: where the list of averaged weights is, None if the kind has none.
    """

    sizes: Callable[..., BackboneConfig]
    rules: tuple[tuple[str, str], ...]
    root: str
    wrappers: str = r"^(module\.|_orig_mod\.)+"
    training: str = r"(?!)"
    averaged: str | None = None


_TOKEN = (
    (r"^latent_token\.input", "latent_projection.0"),
    (r"^latent_token\.output", "latent_projection.2"),
)

# Of Lightning 1.0 (VQGAN) to 2.x (SDTT); the last two appear under mixed precision.
_LIGHTNING = (
    r"(optimizer_states|lr_schedulers|callbacks|loops|hyper_parameters|sampler)(/.*)?"
    r"|epoch|global_step|checkpoint_callback_\w+"
    r"|((native_)?amp_scaling_state|\w*MixedPrecision\w*)/.*"
)

_DIT = Layout(
    sizes=dit_config,
    rules=(
        *_TOKEN,
        (r"^token$", "vocab_embed.embedding"),
        (r"^noise_mlp", "sigma_map.mlp"),
        (r"\.norm_1\.", ".norm2."),
        (r"\.norm_0\.", ".norm1."),
        (r"\.qkv\.", ".attn_qkv."),
        (r"\.attention_output\.", ".attn_out."),
        (r"\.mlp_input\.", ".mlp.0."),
        (r"\.mlp_output\.", ".mlp.2."),
        (r"\.modulation\.", ".adaLN_modulation."),
        (r"^output_norm\.", "output_layer.norm_final."),
        (r"^output_modulation\.", "output_layer.adaLN_modulation."),
        (r"^output\.", "output_layer.linear."),
    ),
    root="state_dict/",
    wrappers=r"^(backbone\.|module\.|_orig_mod\.)+",
    training=rf"{_LIGHTNING}|ema/(decay|num_updates|shadow_params/\d+)",
    averaged="ema/shadow_params",
)

LAYOUTS: dict[str, Layout] = {
    "tauldr": Layout(
        sizes=unet_config,
        rules=(
            (r"^time_mlp\.input", "temb_modules.0"),
            (r"^time_mlp\.output", "temb_modules.1"),
            (r"^latent_mlp\.input", "lemb_modules.0"),
            (r"^latent_mlp\.output", "lemb_modules.1"),
            (r"^context_mlp\.input", "hlemb_modules.0"),
            (r"^context_mlp\.output", "hlemb_modules.1"),
            (r"^latent_mix", "tlam_mix"),
            (r"^context_mix", "h_t_lam_mix"),
            (r"^input\.", "input_conv."),
            (r"^output_norm", "output_modules.0"),
            (r"^output\.", "output_modules.1."),
            (r"^down\.", "downsampling_modules."),
            (r"^middle\.", "middle_modules."),
            (r"^up\.", "upsampling_modules."),
            (r"\.norm_(\d)\.", r".groupnorm\1."),
            (r"\.conv_(\d)\.", r".conv\1."),
            (r"\.time\.", ".dense0."),
            (r"\.latent\.", ".dense1."),
            (r"\.norm\.", ".GroupNorm_0."),
            (r"\.shortcut\.weight$", ".nin.W"),
            (r"\.shortcut\.bias$", ".nin.b"),
            (r"\.query\.", ".NIN_0."),
            (r"\.key\.", ".NIN_1."),
            (r"\.value\.", ".NIN_2."),
            (r"\.output\.", ".NIN_3."),
            (r"(NIN_\d)\.weight$", r"\1.W"),
            (r"(NIN_\d)\.bias$", r"\1.b"),
        ),
        root="model/",
        wrappers=r"^(net\.|module\.|_orig_mod\.)+",
        training=r"optimizer(/.*)?|n_iter|model/ema_(decay|num_updates|shadow_params/\d+)",
        averaged="model/ema_shadow_params",
    ),
    "maskgit": Layout(
        sizes=maskgit_config,
        rules=(
            *_TOKEN,
            (r"^position$", "pos_emb"),
            (r"^token\.", "tok_emb."),
            (r"^input\.", "first_layer."),
            (r"^output\.", "last_layer."),
            (r"^blocks\.(\d+)\.norm_([01])\.", r"transformer.layers.\1.\2.norm."),
            (r"^blocks\.(\d+)\.mlp\.", r"transformer.layers.\1.1.fn.net."),
            (r"^blocks\.(\d+)\.attention\.", r"transformer.layers.\1.0.fn.mha."),
            (r"\.mha\.qkv\.", ".mha.in_proj_"),
            (r"\.mha\.output\.", ".mha.out_proj."),
        ),
        root="model_state_dict/",
        training=r"iter|global_epoch|optimizer_state_dict(/.*)?",
    ),
    "vqgan": Layout(
        sizes=vqgan_config,
        rules=(
            (r"^codebook\.", "quantize.embedding."),
            (r"^to_code\.", "quant_conv."),
            (r"^from_code\.", "post_quant_conv."),
            (r"^((en|de)coder)\.input\.", r"\1.conv_in."),
            (r"^((en|de)coder)\.norm\.", r"\1.norm_out."),
            (r"^((en|de)coder)\.output\.", r"\1.conv_out."),
            (r"^encoder\.levels\.", "encoder.down."),
            (r"^decoder\.levels\.", "decoder.up."),
            (r"\.middle\.0\.", ".mid.block_1."),
            (r"\.middle\.1\.", ".mid.attn_1."),
            (r"\.middle\.2\.", ".mid.block_2."),
            (r"\.blocks\.", ".block."),
            (r"\.attention\.", ".attn."),
            (r"\.((down|up)sample)\.", r".\1.conv."),
            (r"\.norm_1\.", ".norm2."),
            (r"\.norm_0\.", ".norm1."),
            (r"\.conv_1\.", ".conv2."),
            (r"\.conv_0\.", ".conv1."),
            (r"\.shortcut\.", ".nin_shortcut."),
            (r"\.query\.", ".q."),
            (r"\.key\.", ".k."),
            (r"\.value\.", ".v."),
            (r"\.output\.", ".proj_out."),
        ),
        root="state_dict/",
        training=rf"{_LIGHTNING}|(state_dict/)?loss\..*",
    ),
    "mdlm": _DIT,
    "sdtt": _DIT,
}


def to_ours(
    kind: str, flat_state: State, ema: bool = False, **known: object
) -> tuple[BackboneConfig, State]:
    """A published checkpoint as a config and the state dict of the network that it builds.

    Args:
        kind: "tauldr", "maskgit", "vqgan", "mdlm" or "sdtt"; the released Di4C students are of
            these kinds as well.
        flat_state: the checkpoint, see the module.
        ema: take the averaged weights in place of the raw ones.
        **known: fields of the config that shapes do not say (`convert.sizes.UNSAID`), where
            they differ from the published ones.

    Returns:
        The config, and tensors by our names, in their own precision.

    Raises:
        ValueError: If the kind is unknown or has no averaged weights.
        Misfit: If a tensor is missing, left over or of another shape; names are the published ones.
    """
    if kind not in LAYOUTS:
        raise ValueError(f"kind must be one of {', '.join(LAYOUTS)}; got {kind!r}")
    layout = LAYOUTS[kind]
    if ema and layout.averaged is None:
        raise ValueError(
            f"ema must be False for {kind} checkpoints, which hold no averaged weights"
        )
    tensors, rest = _network_tensors(layout, flat_state)
    config = layout.sizes(tensors, **known)
    ours = _parameters(config)
    names = {_published(layout, name): name for name in ours}
    wanted = {name: _turned(name, ours[names[name]]) for name in names}
    _check_derived(config, tensors)
    check_fit(f"not a whole {kind} checkpoint", wanted, tensors | rest)
    if ema:
        tensors = _averaged(layout, flat_state, wanted)
    return config, {names[name]: _turned(name, tensors[name]).contiguous() for name in wanted}


def published_names(kind: str, config: BackboneConfig) -> list[str]:
    """The published name of each parameter, in the order of `parameters()`, without prefixes."""
    return [_published(LAYOUTS[kind], name) for name in _parameters(config)]


def _network_tensors(layout: Layout, flat_state: State) -> tuple[State, State]:
    """Tensors below the root by published name, and those that nobody knows, by full name."""
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
            raise ValueError(f"checkpoint has {bare} twice, with different prefixes: drop one")
        tensors[bare] = tensor
    return tensors, rest


def _parameters(config: BackboneConfig) -> State:
    with torch.device("meta"):
        return dict(config.build().named_parameters())


def _published(layout: Layout, name: str) -> str:
    for pattern, replacement in layout.rules:
        name = re.sub(pattern, replacement, name)
    return name


def _turned(published: str, tensor: Tensor) -> Tensor:
    """Matrices called W are (in, out), ours (out, in); the same way back."""
    return tensor.T if published.endswith(".W") else tensor


def _check_derived(config: BackboneConfig, tensors: State) -> None:
    """Take out the buffer that we compute, if it is what we would compute."""
    found = tensors.pop("rotary_emb.inv_freq", None)
    if found is None:
        return
    expected = rotary_frequencies(2 * len(found))
    if not isinstance(config, DiTConfig) or float((found - expected).abs().max()) > 1e-6:
        raise ValueError("rotary_emb.inv_freq are not the frequencies 10000^(-2i/h): another model")


def _averaged(layout: Layout, flat_state: State, wanted: State) -> State:
    """The averaged weights by published name: a bare list in the order of the parameters."""
    prefix = f"{layout.averaged}/"
    places = sorted(
        int(name.removeprefix(prefix)) for name in flat_state if name.startswith(prefix)
    )
    if places != list(range(len(wanted))):
        raise ValueError(
            f"{layout.averaged} must hold {len(wanted)} averaged tensors, one a parameter; got "
            f"{len(places)}: take the raw weights (ema=False)"
        )
    averaged = {name: flat_state[f"{prefix}{place}"] for place, name in enumerate(wanted)}
    check_fit(f"{layout.averaged} are not in the order of the parameters", wanted, averaged)
    return averaged
