"""Published names to our names and back, and the errors for tensors that do not fit."""

from dataclasses import replace

import pytest
import torch

from full_scale.convert.kinds import KINDS, published_names, to_ours
from full_scale.models.model_file import Misfit
from tests.helpers.published import CONFIGS, UNSAID
from tests.helpers.tiny_models import DIT, MASKGIT, built

WRAPPERS = {"tauldr": "net.module.", "mdlm": "backbone.", "sdtt": "backbone.backbone."}


def _published(kind, config, seed=0):
    """A flat state in the published layout, its tensors by bare name, and its network."""
    network = built(config, seed)
    tensors = {
        name: value.T if name.endswith(".W") else value
        for name, value in zip(
            published_names(kind, config), network.state_dict().values(), strict=True
        )
    }
    root = KINDS[kind].root + WRAPPERS.get(kind, "")
    return {root + name: value for name, value in tensors.items()}, tensors, network


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("latent", [False, True])
def test_names_there_and_back(kind, latent):
    if latent and kind == "vqgan":
        return
    config = replace(CONFIGS[kind], latent=True) if latent else CONFIGS[kind]
    flat, _, network = _published(kind, config)
    found, state = to_ours(kind, flat, **UNSAID[kind])
    assert found == config
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("kind", ["tauldr", "sdtt"])
def test_averaged_weights(kind):
    config = CONFIGS[kind]
    flat, _, _ = _published(kind, config)
    _, averaged, other = _published(kind, config, seed=1)
    prefix = KINDS[kind].averaged
    flat |= {f"{prefix}/{i}": value for i, value in enumerate(averaged.values())}
    for ema, expected in ((True, other), (False, None)):
        _, state = to_ours(kind, flat, ema, **UNSAID[kind])
        same = all(torch.equal(state[k], v) for k, v in other.state_dict().items())
        assert same == (expected is other)
    last = f"{prefix}/{len(averaged) - 1}"
    with pytest.raises(ValueError, match=f"must hold {len(averaged)} averaged tensors"):
        to_ours(kind, {k: v for k, v in flat.items() if k != last}, True, **UNSAID[kind])
    swapped = flat | {f"{prefix}/0": flat[f"{prefix}/1"], f"{prefix}/1": flat[f"{prefix}/0"]}
    with pytest.raises(Misfit, match="not in the order of the parameters"):
        to_ours(kind, swapped, True, **UNSAID[kind])


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_key_is_used_and_every_parameter_filled(kind):
    flat, tensors, _ = _published(kind, CONFIGS[kind])
    last = list(flat)[-1]
    with pytest.raises(Misfit, match="missing: ") as caught:
        to_ours(kind, {k: v for k, v in flat.items() if k != last}, **UNSAID[kind])
    assert caught.value.missing == [list(tensors)[-1]]
    root = KINDS[kind].root
    for extra in (f"{root}surplus.weight", "surplus/weight"):
        with pytest.raises(Misfit, match=r"unexpected: .*surplus"):
            to_ours(kind, flat | {extra: torch.zeros(1)}, **UNSAID[kind])
    with pytest.raises(Misfit, match="of another shape"):
        to_ours(kind, flat | {last: torch.zeros(1)}, **UNSAID[kind])
    assert to_ours(kind, {k.removeprefix(root): v for k, v in flat.items()}, **UNSAID[kind])


@pytest.mark.parametrize("kind", CONFIGS)
def test_other_kinds_are_errors(kind):
    for other, config in CONFIGS.items():
        if config is not CONFIGS[kind]:  # MDLM and SDTT are the same network
            flat, _, _ = _published(other, config)
            with pytest.raises(ValueError, match="so it is of another kind"):
                to_ours(kind, flat, **UNSAID[kind])


def test_what_belongs_to_training_is_ignored():
    more = {
        "tauldr": ("optimizer/state/0/step", "n_iter", "model/ema_decay", "model/ema_num_updates"),
        "maskgit": ("iter", "global_epoch", "optimizer_state_dict/state/0/step"),
        "vqgan": ("state_dict/loss.logvar", "epoch", "optimizer_states/0/state"),
        "sdtt": ("ema/decay", "ema/num_updates", "loops/fit_loop/x", "global_step"),
    }
    for kind, names in more.items():
        flat, _, _ = _published(kind, CONFIGS[kind])
        to_ours(kind, flat | {name: torch.zeros(()) for name in names}, **UNSAID[kind])


def test_frequencies_are_checked():
    flat, _, _ = _published("sdtt", DIT)
    name = "state_dict/backbone.backbone.rotary_emb.inv_freq"
    right = 10000 ** -(torch.arange(2) / 2)  # heads of 4
    found, _ = to_ours("sdtt", flat | {name: right}, num_dims=6)
    assert found.num_heads == 3  # read from their number
    with pytest.raises(ValueError, match="inv_freq has other values than this kind"):
        to_ours("sdtt", flat | {name: right * 1.01}, num_dims=6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_files_in_half_precision_are_converted(dtype):
    """Their frequencies are rounded. Other frequencies are refused as in full precision."""
    flat, _, _ = _published("sdtt", replace(DIT, hidden_size=16, num_heads=1))
    flat = {name: tensor.to(dtype) for name, tensor in flat.items()}
    name = "state_dict/backbone.backbone.rotary_emb.inv_freq"
    right = 10000 ** -(torch.arange(8) / 8)
    assert bool((right.to(dtype).float() != right).any())
    config, state = to_ours("sdtt", flat | {name: right.to(dtype)}, num_dims=6)
    assert config.num_heads == 1
    assert {tensor.dtype for tensor in state.values()} == {dtype}
    with pytest.raises(ValueError, match="inv_freq has other values than this kind"):
        to_ours("sdtt", flat | {name: (right * 1.03).to(dtype)}, num_dims=6)


def test_more_errors_of_names():
    flat, tensors, _ = _published("maskgit", MASKGIT)
    with pytest.raises(ValueError, match="kind must be one of tauldr, maskgit"):
        to_ours("vit", flat)
    with pytest.raises(ValueError, match="ema must be False for maskgit"):
        to_ours("maskgit", flat, True)
    with pytest.raises(ValueError, match="too few for 1000 classes"):
        to_ours("maskgit", flat)
    with pytest.raises(ValueError, match="MaskGITConfig has no depth"):
        to_ours("maskgit", flat, depth=2, **UNSAID["maskgit"])
    name = next(iter(tensors))
    twice = flat | {f"model_state_dict/module.{name}": tensors[name]}
    with pytest.raises(ValueError, match=f"has {name} twice"):
        to_ours("maskgit", twice, **UNSAID["maskgit"])
