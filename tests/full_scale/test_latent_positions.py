"""The latent of a transformer as an embedding of each position: it starts at zero, and may fade."""

from dataclasses import replace

import pytest
import torch

from full_scale.models.network import Network, latent_parameters
from full_scale.models.presets import PRESETS, from_json, to_json
from tests.helpers.tiny_models import DIT, MASKGIT, network_of, states, times

CONFIGS = [pytest.param(DIT, id="dit"), pytest.param(MASKGIT, id="maskgit")]


@pytest.mark.parametrize("config", CONFIGS)
def test_it_starts_at_zero(config):
    """With the same weights elsewhere, the embedding changes nothing at first."""
    with_map = replace(config, latent=True, latent_map=True)
    network = network_of(with_map)
    published = Network(replace(with_map, latent_map=False).build().eval(), network.process)
    fresh = with_map.build().latent_map.state_dict()
    network.backbone.latent_map.load_state_dict(fresh)
    published.backbone.load_state_dict(network.backbone.state_dict(), strict=False)
    x_t, t, latent = states(network, 3), times(3), torch.rand(3)
    expected = published.denoise(x_t, t, latent)
    torch.testing.assert_close(network.denoise(x_t, t, latent), expected, rtol=0, atol=0)


@pytest.mark.parametrize("config", CONFIGS)
def test_it_is_added_to_its_own_position(config):
    """What one position gets enters the first block there, and nowhere else."""
    network = network_of(replace(config, latent=True, latent_map=True))
    backbone, inputs = network.backbone, []
    backbone.blocks[0].register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach()))
    x_t, t, latent = states(network, 2), times(2), torch.rand(2)
    network.denoise(x_t, t, latent)
    width = backbone.latent_map.output.out_features // config.num_dims
    with torch.no_grad():
        backbone.latent_map.output.bias[width : 2 * width] += 1.0
    network.denoise(x_t, t, latent)
    change = inputs[1] - inputs[0]
    torch.testing.assert_close(change[:, 1], torch.ones_like(change[:, 1]))
    assert not bool(change[:, [0, *range(2, change.shape[1])]].any())


@pytest.mark.parametrize("config", CONFIGS)
def test_it_differs_from_latent_to_latent(config):
    network = network_of(replace(config, latent=True, latent_map=True))
    with torch.no_grad():
        masked = torch.ones(2, config.num_dims, dtype=torch.bool)
        embedding = network.backbone.latent_map(torch.tensor([0.1, 0.7]), masked)
    assert embedding.shape[1] == config.num_dims
    assert bool((embedding[0] != embedding[1]).any(-1).all())


@pytest.mark.parametrize("config", CONFIGS)
def test_only_students_that_ask_for_it_have_it(config):
    student = replace(config, latent=True, latent_map=True)
    layers = ("input.weight", "input.bias", "output.weight", "output.bias")
    names = {f"latent_map.{layer}" for layer in layers}
    published = set(replace(config, latent=True).build().state_dict())
    assert set(student.build().state_dict()) - published == names
    assert names < latent_parameters(student)
    teacher = replace(student, latent=False).build()
    assert teacher.state_dict().keys() == config.build().state_dict().keys()
    old = to_json(replace(config, latent=True))
    del old["latent_map"]
    assert from_json(old) == replace(config, latent=True)
    for name in ("sdtt-owt", "maskgit-imagenet"):
        assert not PRESETS[name].network.latent_map


@pytest.mark.parametrize("config", CONFIGS)
def test_it_fades_with_the_masks(config):
    """With k of D tokens masked, what enters the first block is (k / D)^p times the embedding."""
    network = network_of(replace(config, latent=True, latent_map=True, latent_fade=2.0))
    backbone, inputs = network.backbone, []
    backbone.blocks[0].register_forward_pre_hook(lambda _, given: inputs.append(given[0].detach()))
    dims = config.num_dims
    latent = torch.rand(dims + 1)
    x_t = torch.zeros(dims + 1, dims, dtype=torch.long)
    for count in range(dims + 1):
        x_t[count, :count] = network.process.mask_state
    network.denoise(x_t, times(dims + 1), latent)
    network.denoise(x_t, times(dims + 1), None)
    full = backbone.latent_map(latent, torch.ones(dims + 1, dims, dtype=torch.bool)).detach()
    found = (inputs[0] - inputs[1])[:, :dims]
    expected = torch.stack([full[count] * (count / dims) ** 2 for count in range(dims + 1)])
    torch.testing.assert_close(found, expected)
    assert inputs[0].shape == inputs[1].shape  # there is no token


@pytest.mark.parametrize("config", CONFIGS)
def test_a_fade_takes_the_place_of_the_token(config):
    student = replace(config, latent=True, latent_map=True, latent_fade=1.0)
    without = replace(student, latent_fade=0.0).build().state_dict().keys()
    gone = without - student.build().state_dict().keys()
    assert gone == {name for name in without if name.startswith("latent_token.")}
    with pytest.raises(ValueError, match=r"latent_fade must be 0 without a latent_map; got 1\.0"):
        replace(student, latent_map=False)
    with pytest.raises(ValueError, match=r"latent_fade must be at least 0; got -1\.0"):
        replace(student, latent_fade=-1.0)
    teacher = network_of(replace(student, latent=False))
    with pytest.raises(ValueError, match="latent must be None for a network that was built with"):
        teacher.denoise(states(teacher, 2), times(2), torch.rand(2))
    old = to_json(student)
    del old["latent_fade"]
    assert from_json(old) == replace(student, latent_fade=0.0)
