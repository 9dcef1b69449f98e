"""A tiny network under the name of the preset for words, and a teacher of it."""

from dataclasses import replace

import pytest
import torch

from full_scale import miniature
from full_scale.data import words as data
from full_scale.miniatures.study import Size
from full_scale.models import presets
from full_scale.models.model_file import write_model
from full_scale.training.experiments import EXPERIMENTS

SIZE = Size(40, (1, 2), (1, 2, 4), quick=True)


@pytest.fixture(scope="module")
def tiny():
    """Words with a tiny network, training of three steps, and an invented score of real data."""
    patch, preset = pytest.MonkeyPatch(), presets.PRESETS["words"]
    network = replace(preset.network, hidden_size=16, num_heads=2, num_blocks=1, noise_features=2)
    patch.setitem(presets.PRESETS, "words", replace(preset, network=network))
    patch.setattr(miniature, "QUICK", SIZE)
    own = miniature.open_miniature("words")
    quick, real = {"steps": 3, "num_latents": 3}, dict.fromkeys(own.metrics, 1.0)
    own = replace(own, quick=quick, floor=lambda part: dict(real))
    patch.setattr(miniature, "open_miniature", lambda name: own)
    for name, (text, run) in list(EXPERIMENTS.items()):
        if name.startswith("words"):
            cheap = replace(run, batch_size=2, micro_batch=2, check_memory=False)
            patch.setitem(EXPERIMENTS, name, (text, cheap))
    yield own
    patch.undo()


def write_tiny(path, student=False, **manifest):
    """A model file of the tiny network with random weights."""
    preset = presets.PRESETS["words"]
    torch.manual_seed(0)
    network = replace(preset.network, latent=student).build()
    if student:  # the untrained output is the uniform law
        torch.nn.init.normal_(network.output.weight)
    write_model(path, network.config, preset.process, network.state_dict(), manifest)
    return path


@pytest.fixture(scope="module")
def teacher(tiny, tmp_path_factory):
    """The file of a teacher that fits the installed words."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    return write_tiny(path, data_sha256=data.list_sha256(data.all_words()))
