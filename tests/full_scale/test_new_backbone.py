"""A backbone of one's own, in one file and one line of registration, through all commands."""

import numpy as np
import pytest
import torch

from full_scale import evaluate, sample, train
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.network import Network, latent_parameters
from full_scale.models.presets import PRESETS
from full_scale.models.processes import GaussianProcessConfig
from full_scale.models.sampling import Plan
from reporting import read_rows
from tests.helpers import mixer_backbone
from tests.helpers.tiny_models import built, states, times

NAME = "mixer-digits"


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """In the package this is one line of presets.py: PRESETS = ... | mixer_backbone.PRESETS."""
    for name, preset in mixer_backbone.PRESETS.items():
        monkeypatch.setitem(PRESETS, name, preset)


def test_train_sample_evaluate(tmp_path):
    teacher, student, drawn = (tmp_path / name for name in ("teacher", "student", "samples"))
    short = ["--preset", NAME, "--reports.log-every", "1"]
    fast = ["--optimizer.warmup", "0", "--optimizer.learning-rate", "0.01"]
    train.main(["digits-teacher", *short, *fast, "--steps", "30", "--out", str(teacher)])
    losses = [row["loss"] for row in read_rows(teacher / "log.jsonl")]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 20  # nats for 64 pixels
    few = ["--steps", "3", "--data.generated", "8", "--data.generated-calls", "2"]
    train.main(["digits", *short, *few, "--teacher", str(teacher), "--out", str(student)])
    assert all(np.isfinite(row["loss"]) for row in read_rows(student / "log.jsonl"))
    drawing = ["--steps", "4", "--num-samples", "6", "--device", "cpu", "--out", str(drawn)]
    sample.main([str(student), *drawing])
    folder = SampleFolder(drawn)
    assert folder.samples().shape == (6, 64)
    assert folder.samples().max() < 17  # no mask is left
    assert folder.run["settings"]["experiment"] == NAME
    assert (drawn / "first_samples.png").is_file()
    results = tmp_path / "results.jsonl"
    measuring = ["--features", "pixels", "--reference", "digits", "--replicates", "2"]
    evaluate.main([str(drawn), *measuring, "--device", "cpu", "--results", str(results)])
    (row,) = read_rows(results)
    assert (row["role"], row["experiment"]) == ("student", NAME)
    assert np.isfinite(row["metrics"]["frechet"]["value"])


def test_dry_run_counts_what_it_costs(tmp_path, capsys):
    config = PRESETS[NAME].network
    train.main(["digits-teacher", "--preset", NAME, "--out", str(tmp_path / "x"), "--dry-run"])
    count = sum(parameter.numel() for parameter in config.build().parameters())
    assert f'"trained": {count}' in capsys.readouterr().out


def test_what_the_base_class_does():
    """The latent's parameters are found, and the mask is excluded unless it is kept."""
    config = mixer_backbone.MixerConfig(latent=True)
    assert latent_parameters(config) == {"latent.weight", "latent.bias"}
    network = Network(built(config), config.default_process().build())
    x_t, t, latent = states(network, 2), times(2), torch.rand(2)
    kept = network.denoise(x_t, t, latent)
    assert kept.shape == (2, 64, 18)
    excluded = Network(network.backbone, network.process, keep_mask=False).denoise(x_t, t, latent)
    torch.testing.assert_close(excluded, kept[..., :-1].log_softmax(-1))
    gaussian = GaussianProcessConfig(config.num_states).build()
    with pytest.raises(ValueError, match="process must be masked for a mixer"):
        Network(network.backbone, gaussian)
    with pytest.raises(ValueError, match="sampler must be one of ancestral for a mixer"):
        Plan(2, "tau-leaping").resolve(network)
