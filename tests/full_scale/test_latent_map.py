"""The latent of a U-Net as a map: it starts as the teacher, and it differs from pixel to pixel."""

from dataclasses import replace

import pytest
import torch

from full_scale.models.load import load_model
from full_scale.models.network import Network, latent_parameters, start_student
from full_scale.models.presets import PRESETS, from_json, to_json
from full_scale.training.assemble import assemble
from tests.helpers import train_cases
from tests.helpers.tiny_models import PROCESSES, UNET, network_of, save_model, states, times

MAP = replace(UNET, latent=True, latent_map=True)


def test_a_student_with_a_map_starts_as_its_teacher():
    teacher = network_of(UNET)
    backbone = MAP.build().eval()
    start_student(backbone, teacher.backbone.state_dict())
    student = Network(backbone, teacher.process)
    x_t, t = states(teacher, 3), times(3)
    expected = teacher.denoise(x_t, t)
    for latent in (torch.zeros(3), torch.rand(3)):
        torch.testing.assert_close(student.denoise(x_t, t, latent), expected, rtol=0, atol=0)


def test_only_students_have_the_map():
    """The published networks keep their parameters, and a teacher never has a map."""
    assert not PRESETS["tauldr-cifar10"].network.latent_map
    published = set(replace(UNET, latent=True).build().state_dict())
    assert set(MAP.build().state_dict()) - published == {
        "latent_map.to_image.weight",
        "latent_map.to_image.bias",
        "latent_map.to_smallest.weight",
        "latent_map.to_smallest.bias",
        "latent_map.convolution.weight",
    }
    teacher = replace(MAP, latent=False)
    assert teacher.build().state_dict().keys() == UNET.build().state_dict().keys()
    assert latent_parameters(MAP) == set(MAP.build().state_dict()) - set(UNET.build().state_dict())


def test_the_map_differs_from_pixel_to_pixel():
    """A bias of one pixel changes its neighbourhood at the input, and one value in the middle."""
    network = network_of(MAP)
    latent_map, embedding = network.backbone.latent_map, torch.rand(2, 4 * MAP.time_features)
    places = [latent_map.at_input, latent_map.at_middle]
    before = [place(embedding) for place in places]
    with torch.no_grad():
        for layer in (latent_map.to_image, latent_map.to_smallest):
            layer.bias[0] += 1.0
    changed = [place(embedding) - old for place, old in zip(places, before, strict=True)]
    assert [tuple(change.shape[1:]) for change in changed] == [(8, 4, 6), (16, 2, 3)]
    at_input, at_middle = (change.abs().amax(0) > 1e-6 for change in changed)
    assert bool(at_input[:, :2, :2].all())
    assert int(at_input.sum()) == 8 * 4  # the 3 x 3 convolution reaches no other pixel
    assert at_middle.nonzero().tolist() == [[0, 0, 0]]


def test_both_parts_of_the_map_change_the_samples_law():
    network = network_of(MAP, dtype=torch.float64)
    x_t, t, latent = states(network, 2), times(2), torch.rand(2, dtype=torch.float64)
    latent_map = network.backbone.requires_grad_(False).latent_map
    before = network.denoise(x_t, t, latent)
    for layer in (latent_map.to_image, latent_map.to_smallest):
        layer.bias.add_(0.1)
        after = network.denoise(x_t, t, latent)
        assert float((after - before).abs().max()) > 1e-4
        before = after


def test_the_gain_separates_the_components_through_the_map(tmp_path, monkeypatch):
    """The run's `latent_gain` fills both matrices of the map. Without it they stay zero."""
    network = replace(train_cases.TINY.network, latent_map=True)
    case = replace(train_cases.TINY, network=network)
    monkeypatch.setitem(PRESETS, "tiny-map", case)
    train_cases.write_teacher(tmp_path / "teacher.safetensors")  # its config has no map
    for gain in (None, 3.0):
        run = train_cases.student_run(tmp_path, preset="tiny-map", latent_gain=gain)
        latent_map = assemble(run).objective.network.latent_map
        for layer in (latent_map.to_image, latent_map.to_smallest):
            assert bool(layer.weight.any()) == (gain is not None)
            assert not bool(layer.bias.any())
        assert bool(latent_map.convolution.weight.any())


def test_files_without_the_field_are_published_networks(tmp_path):
    old = to_json(replace(UNET, latent=True))
    del old["latent_map"]
    assert from_json(old) == replace(UNET, latent=True)


def test_a_student_of_another_kind_does_not_fit_the_preset(tmp_path, monkeypatch):
    wanted = replace(PRESETS["tauldr-cifar10"], network=replace(MAP, latent=False))
    wanted = replace(wanted, process=PROCESSES[UNET])
    monkeypatch.setitem(PRESETS, "map", wanted)
    plain = replace(wanted, network=UNET)
    monkeypatch.setitem(PRESETS, "plain", plain)
    teacher = save_model(tmp_path / "teacher", UNET)
    student = save_model(tmp_path / "student", UNET, student=True)
    for name in ("map", "plain"):
        load_model(teacher, like=name)
    load_model(student, like="plain")
    with pytest.raises(ValueError, match="latent_map False instead of True"):
        load_model(student, like="map")
