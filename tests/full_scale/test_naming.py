"""Published names to ours: there and back, and everything that must not pass in silence."""

from dataclasses import replace

import pytest
import torch

from full_scale.convert.layouts import LAYOUTS, published_names, to_ours
from full_scale.models.model_file import Misfit
from tests.helpers.tiny_models import DIT, MASKGIT, UNET, VQGAN, built

NAMED = {"tauldr": UNET, "maskgit": MASKGIT, "vqgan": VQGAN, "mdlm": DIT, "sdtt": DIT}
KNOWN = {
    "tauldr": {"num_states": 9, "height": 4, "width": 6},
    "maskgit": {"num_classes": 3, "num_heads": 3},
    "vqgan": {"resolution": 8, "num_groups": 4},
    "mdlm": {"num_dims": 6, "num_heads": 3},
    "sdtt": {"num_dims": 6, "num_heads": 3},
}
WRAPPERS = {"tauldr": "net.module.", "mdlm": "backbone.", "sdtt": "backbone.backbone."}


def _published(kind, config, seed=0):
    """A flat state in the published layout, and the network that it is of."""
    network = built(config, seed)
    tensors = {
        name: value.T if name.endswith(".W") else value
        for name, value in zip(
            published_names(kind, config), network.state_dict().values(), strict=True
        )
    }
    root = LAYOUTS[kind].root + WRAPPERS.get(kind, "")
    return {root + name: value for name, value in tensors.items()}, tensors, network


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("latent", [False, True])
def test_names_there_and_back(kind, latent):
    if latent and kind == "vqgan":
        return
    config = replace(NAMED[kind], latent=True) if latent else NAMED[kind]
    flat, _, network = _published(kind, config)
    found, state = to_ours(kind, flat, **KNOWN[kind])
    assert found == config
    assert state.keys() == network.state_dict().keys()
    assert all(torch.equal(state[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize("kind", ["tauldr", "sdtt"])
def test_averaged_weights(kind):
    config = NAMED[kind]
    flat, _, _ = _published(kind, config)
    _, averaged, other = _published(kind, config, seed=1)
    prefix = LAYOUTS[kind].averaged
    flat |= {f"{prefix}/{i}": value for i, value in enumerate(averaged.values())}
    for ema, expected in ((True, other), (False, None)):
        _, state = to_ours(kind, flat, ema, **KNOWN[kind])
        same = all(torch.equal(state[k], v) for k, v in other.state_dict().items())
        assert same == (expected is other)
    last = f"{prefix}/{len(averaged) - 1}"
    with pytest.raises(ValueError, match=f"must hold {len(averaged)} averaged tensors"):
        to_ours(kind, {k: v for k, v in flat.items() if k != last}, True, **KNOWN[kind])
    swapped = flat | {f"{prefix}/0": flat[f"{prefix}/1"], f"{prefix}/1": flat[f"{prefix}/0"]}
    with pytest.raises(Misfit, match="not in the order of the parameters"):
        to_ours(kind, swapped, True, **KNOWN[kind])


@pytest.mark.parametrize("kind", NAMED)
def test_every_key_is_used_and_every_parameter_filled(kind):
    flat, tensors, _ = _published(kind, NAMED[kind])
    last = list(flat)[-1]
    with pytest.raises(Misfit, match="missing: ") as caught:
        to_ours(kind, {k: v for k, v in flat.items() if k != last}, **KNOWN[kind])
    assert caught.value.missing == [list(tensors)[-1]]
    root = LAYOUTS[kind].root
    for extra in (f"{root}surplus.weight", "surplus/weight"):
        with pytest.raises(Misfit, match=r"unexpected: .*surplus"):
            to_ours(kind, flat | {extra: torch.zeros(1)}, **KNOWN[kind])
    with pytest.raises(Misfit, match="of another shape"):
        to_ours(kind, flat | {last: torch.zeros(1)}, **KNOWN[kind])
    assert to_ours(kind, {k.removeprefix(root): v for k, v in flat.items()}, **KNOWN[kind])


@pytest.mark.parametrize("kind", NAMED)
def test_other_kinds_are_errors(kind):
    flat, _, _ = (
        _published("vqgan" if kind == "maskgit" else "maskgit", NAMED["maskgit"])
        if (kind != "maskgit")
        else _published("vqgan", VQGAN)
    )
    with pytest.raises(ValueError, match="of another kind"):
        to_ours(kind, flat, **KNOWN[kind])


def test_what_belongs_to_training_is_left():
    more = {
        "tauldr": ("optimizer/state/0/step", "n_iter", "model/ema_decay", "model/ema_num_updates"),
        "maskgit": ("iter", "global_epoch", "optimizer_state_dict/state/0/step"),
        "vqgan": ("state_dict/loss.logvar", "epoch", "optimizer_states/0/state"),
        "sdtt": ("ema/decay", "ema/num_updates", "loops/fit_loop/x", "global_step"),
    }
    for kind, names in more.items():
        flat, _, _ = _published(kind, NAMED[kind])
        to_ours(kind, flat | {name: torch.zeros(()) for name in names}, **KNOWN[kind])


def test_frequencies_are_looked_at():
    flat, _, _ = _published("sdtt", DIT)
    name = "state_dict/backbone.backbone.rotary_emb.inv_freq"
    right = 10000 ** -(torch.arange(2) / 2)  # heads of 4
    found, _ = to_ours("sdtt", flat | {name: right}, num_dims=6)
    assert found.num_heads == 3  # read from their number
    with pytest.raises(ValueError, match="are not the frequencies"):
        to_ours("sdtt", flat | {name: right * 1.01}, num_dims=6)


def test_more_errors_of_names():
    flat, tensors, _ = _published("maskgit", MASKGIT)
    with pytest.raises(ValueError, match="kind must be one of tauldr, maskgit"):
        to_ours("vit", flat)
    with pytest.raises(ValueError, match="ema must be False for maskgit"):
        to_ours("maskgit", flat, True)
    with pytest.raises(ValueError, match="too few for 1000 classes"):
        to_ours("maskgit", flat)
    with pytest.raises(ValueError, match="MaskGITConfig has no depth"):
        to_ours("maskgit", flat, depth=2, **KNOWN["maskgit"])
    name = next(iter(tensors))
    twice = flat | {f"model_state_dict/module.{name}": tensors[name]}
    with pytest.raises(ValueError, match=f"has {name} twice"):
        to_ours("maskgit", twice, **KNOWN["maskgit"])
