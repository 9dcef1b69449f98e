"""The evaluation command: the rows that it writes, and its errors."""

import hashlib
import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from figures.evaluations import our_runs
from full_scale import evaluate, sample
from full_scale.data import open_data
from full_scale.data.packed import Description, Rows, pack
from full_scale.evaluation import FeatureMoments, frechet_distance, self_bleu, sequence_entropy
from full_scale.evaluation.judge import Judge, perplexity
from full_scale.evaluation.sample_folder import SampleFolder
from reporting import ROOT, read_rows
from reporting.programs import run_here
from tests.helpers.tiny_models import DIT, MASKGIT, UNET, VQGAN, save_model
from tests.helpers.tiny_text import save_judge, save_tokenizer


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Models, a judge, and samples of each kind."""
    folder = tmp_path_factory.mktemp("evaluate")
    for name, config in {"unet": UNET, "maskgit": MASKGIT, "dit": DIT, "vqgan": VQGAN}.items():
        save_model(folder / f"{name}.safetensors", config)
    save_judge(folder / "judge", context=4)
    save_tokenizer(folder / "tokenizer")
    for name in ("unet", "maskgit", "dit"):
        model = str(folder / f"{name}.safetensors")
        out = str(folder / f"{name}-samples")
        sample.main([model, "--steps", "2", "--num-samples", "30", "--out", out, "--device", "cpu"])
    return folder


def _write_pictures(path, experiment, pictures, levels):
    """A folder of samples that holds data."""
    settings = {
        "experiment": experiment,
        "role": "teacher",
        "model": {"name": "data"},
        "plan": {"sampler": "none", "steps": 0, "teacher_steps": 0, "guidance": 0.0},
        "redraw": None,
        "seed": 0,
        "content": {"kind": "pixels", "shape": list(pictures.shape[1:]), "levels": levels},
    }
    rows = pictures.reshape(len(pictures), -1)
    folder = SampleFolder.create(path, settings, *rows.shape, levels, {})
    folder.write(range(len(rows)), rows)


def _evaluate(files, tmp_path, samples, *options):
    rows = tmp_path / "evaluations.jsonl"
    arguments = [str(files / f"{samples}-samples"), "--results", str(rows), "--device", "cpu"]
    evaluate.main([*arguments, *map(str, options)])
    return read_rows(rows)[-1]


class TestRows:
    def test_pictures(self, files, tmp_path, capsys):
        """The samples have 3 x 4 x 6 pixels. The reference holds statistics of as many."""
        reference = tmp_path / "real.npz"
        np.savez(reference, mu=np.full(72, 0.5), sigma=np.eye(72) / 9)
        options = ["--features", "pixels", "--reference", reference, "--seed", 3]
        row = _evaluate(files, tmp_path, "unet", *options)
        entry = row["metrics"]["frechet"]
        samples = SampleFolder(files / "unet-samples").samples().astype(float)
        pixels = torch.from_numpy(np.round(samples * 255 / 8) / 255)
        expected = frechet_distance(
            FeatureMoments(2, torch.full((72,), 0.5).double(), torch.eye(72).double() / 9),
            FeatureMoments.of(pixels),
        )
        assert entry["value"] == pytest.approx(expected)
        assert entry["low"] < entry["value"] < entry["high"]
        assert (entry["level"], entry["replicates"]) == (0.95, 20)
        assert row["few_samples"] is True
        assert (row["experiment"], row["role"], row["steps"]) == ("other", "teacher", 2)
        assert row["num_samples"] == 30
        assert row["protocol"]["reference"] == "real.npz"
        statistics = np.full(72, 0.5).tobytes() + (np.eye(72) / 9).tobytes()
        assert row["protocol"]["reference_sha256"] == hashlib.sha256(statistics).hexdigest()
        drawn = (files / "unet-samples" / "samples.npy").read_bytes()
        assert row["manifest"]["samples"]["sha256"] == hashlib.sha256(drawn).hexdigest()
        assert row["manifest"]["seed"] == 3
        assert row["manifest"]["samples"]["settings"]["seed"] == 0
        assert our_runs(tmp_path, "other", "frechet") == [row]
        assert our_runs(tmp_path, "other", "fid") == []  # pixels give no FID
        assert str(tmp_path) not in json.dumps(row)
        assert str(files) not in json.dumps(row)
        out = capsys.readouterr().out
        assert "These are 30 samples. Do not compare them with numbers published for 50000" in out
        assert "95% from" in out

    @pytest.mark.parametrize("colours", [0, 1, 3])
    def test_grey_pictures_are_those_of_a_grey_set(self, tmp_path, colours):
        """Three pictures in batches of one, some of them in colour, against two references."""
        rng = np.random.default_rng(0)
        x_0 = np.tile(rng.integers(0, 256, (3, 1, 4)), (1, 3, 1))
        x_0[:colours] = rng.integers(0, 256, (colours, 3, 4))
        _write_pictures(tmp_path / "grey-samples", "other", x_0.reshape(3, 3, 2, 2), 256)
        options = ["--features", "pixels", "--batch", 1, "--replicates", 2, "--reference"]
        for size in (12, 4):
            real = FeatureMoments(2, torch.full((size,), 0.5).double(), torch.eye(size).double())
            np.savez(tmp_path / "real.npz", mu=real.mean, sigma=real.scatter)
            if colours and size == 4:
                with pytest.raises(ValueError, match="size of the reference's, 4; got 12"):
                    _evaluate(tmp_path, tmp_path, "grey", *options, tmp_path / "real.npz")
                continue
            row = _evaluate(tmp_path, tmp_path, "grey", *options, tmp_path / "real.npz")
            pixels = torch.from_numpy(x_0.reshape(3, 12)[:, :size] / 255)
            expected = frechet_distance(real, FeatureMoments.of(pixels))
            assert row["metrics"]["frechet"]["value"] == pytest.approx(expected)

    def test_inception(self, files, tmp_path, monkeypatch):
        """FID and inception score with a replacement of torch-fidelity's network."""
        asked = []

        class Network(torch.nn.Module):
            def __init__(self, *arguments, **options):
                super().__init__()
                asked.append((*arguments, options))

            def forward(self, pictures):
                assert pictures.dtype == torch.uint8
                red = pictures[:, 0].flatten(1).float()
                return red, red[:, :3] / 50

        module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
        module.FeatureExtractorInceptionV3 = Network
        monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        reference = tmp_path / "real.npz"
        np.savez(reference, mu=np.full(24, 100), sigma=np.eye(24) * 400)
        row = _evaluate(files, tmp_path, "unet", "--reference", reference, "--replicates", 3)
        assert asked == [("inception-v3-compat", ["2048", "logits_unbiased"], {"verbose": False})]
        samples = SampleFolder(files / "unet-samples").samples().astype(float)
        red = torch.from_numpy(np.round(samples[:, :24] * 255 / 8))
        # Ten splits of three pictures in the order of torch-fidelity.
        order = np.random.RandomState(2020).permutation(30)
        scores = []
        for part in np.split(red[order, :3].numpy() / 50, 10):
            probs = np.exp(part) / np.exp(part).sum(1, keepdims=True)
            divergence = (probs * np.log(probs / probs.mean(0))).sum(1).mean()
            scores.append(np.exp(divergence))
        assert row["metrics"]["is"]["value"] == pytest.approx(np.mean(scores), rel=1e-6)
        real = FeatureMoments(2, torch.full((24,), 100.0).double(), torch.eye(24).double() * 400)
        expected = frechet_distance(real, FeatureMoments.of(red))
        assert row["metrics"]["fid"]["value"] == pytest.approx(expected)
        assert {entry["replicates"] for entry in row["metrics"].values()} == {3}

    def test_codes(self, files, tmp_path):
        """The VQGAN decodes the codes to 8 x 8 colour pictures."""
        reference = tmp_path / "real.npz"
        np.savez(reference, mu=np.zeros(192), sigma=np.eye(192))
        options = ["--features", "pixels", "--reference", reference]
        with pytest.raises(ValueError, match=r"samples are codes of a VQGAN; give it: --vqgan"):
            _evaluate(files, tmp_path, "maskgit", *options)
        vqgan = ["--vqgan", files / "vqgan.safetensors"]
        row = _evaluate(files, tmp_path, "maskgit", *options, *vqgan)
        assert row["metrics"]["frechet"]["value"] > 0
        assert len(row["protocol"]["vqgan"]) == 64
        other = _evaluate(files, tmp_path, "maskgit", *options, *vqgan, "--stretch")
        assert other["metrics"]["frechet"]["value"] != row["metrics"]["frechet"]["value"]

    def test_texts(self, files, tmp_path, capsys):
        options = ["--judge", files / "judge", "--tokenizer", files / "tokenizer"]
        options += ["--judge-precision", "bfloat16"]
        row = _evaluate(files, tmp_path, "dit", *options, "--replicates", 50, "--level", 0.9)
        tokens = SampleFolder(files / "dit-samples").samples().astype(np.int64)
        values = row["metrics"]
        assert list(values) == ["entropy", "self-bleu", "perplexity"]
        entropy = float(sequence_entropy(torch.from_numpy(tokens)).mean())
        assert values["entropy"]["value"] == pytest.approx(entropy)
        bleu = float(self_bleu(tokens.tolist()).mean())
        assert values["self-bleu"]["value"] == pytest.approx(bleu)
        likelihood = Judge(str(files / "judge"), dtype="bfloat16").likelihood(tokens.tolist())
        assert values["perplexity"]["value"] == pytest.approx(perplexity(likelihood))
        assert values["perplexity"]["judged"] == "tokens"
        assert {entry["level"] for entry in values.values()} == {0.9}
        assert row["protocol"] == {
            "judge": "judge",
            "judge_precision": "bfloat16",
            "tokenizer": "tokenizer",
        }
        out = capsys.readouterr().out
        assert "90% from" in out
        assert "not comparable" not in out, "50 000 is how many pictures a Frechet distance takes"

    def test_texts_of_other_tokens_are_judged_as_texts(self, files, tmp_path):
        """The judge's tokens in another order: the same words, so the same perplexity."""
        save_judge(tmp_path / "judge", context=4)
        path = tmp_path / "judge" / "tokenizer.json"
        content = json.loads(path.read_text())
        words = content["model"]["vocab"]
        words["the"], words["cat"] = words["cat"], words["the"]
        path.write_text(json.dumps(content))
        options = ["--tokenizer", files / "tokenizer", "--metrics", "perplexity", "--replicates", 2]
        plain = _evaluate(files, tmp_path, "dit", "--judge", files / "judge", *options)
        other = _evaluate(files, tmp_path, "dit", "--judge", tmp_path / "judge", *options)
        assert plain["protocol"]["judge_precision"] == "float32"
        assert plain["metrics"]["perplexity"]["judged"] == "tokens"
        assert other["metrics"]["perplexity"]["judged"] == "texts"
        tokens = SampleFolder(files / "dit-samples").samples().astype(np.int64)
        swapped = np.where(tokens == 1, 2, np.where(tokens == 2, 1, tokens)).tolist()
        expected = perplexity(Judge(str(files / "judge")).likelihood(swapped))
        assert other["metrics"]["perplexity"]["value"] == pytest.approx(expected)

    def test_entropy_stands_beside_every_text_metric(self, files, tmp_path):
        row = _evaluate(files, tmp_path, "dit", "--metrics", "self-bleu", "--replicates", 2)
        assert list(row["metrics"]) == ["entropy", "self-bleu"]
        assert row["protocol"] == {}

    def test_mauve_takes_as_many_real_texts(self, files, tmp_path, monkeypatch):
        seen = []
        module = ModuleType("mauve")
        module.compute_mauve = lambda **options: seen.append(options) or SimpleNamespace(mauve=0.5)
        monkeypatch.setitem(sys.modules, "mauve", module)
        x_0 = np.random.default_rng(0).integers(0, 12, (40, 6))
        description = Description(6, 12, None, {})
        pack(tmp_path / "real", description, lambda cursor: iter([Rows(x_0, None, 40)]))
        options = ["--judge", files / "judge", "--tokenizer", files / "tokenizer"]
        options += ["--real", tmp_path / "real", "--mauve-seeds", 2, "--replicates", 2]
        row = _evaluate(files, tmp_path, "dit", *options)
        assert row["metrics"]["mauve"]["values"] == [0.5, 0.5]
        assert row["metrics"]["mauve"]["seeds"] == [1, 2]
        assert seen[0]["p_features"].shape == seen[0]["q_features"].shape == (30, 8)
        expected = Judge(str(files / "judge")).features(x_0[:30].tolist())
        np.testing.assert_allclose(seen[0]["p_features"], expected, rtol=1e-4, atol=1e-5)

    def test_digits_from_end_to_end(self, tmp_path):
        """The training images score their distance to the held-out images."""
        data = open_data("digits")
        x_0 = torch.stack([data[i]["x_0"] for i in range(len(data))])
        _write_pictures(tmp_path / "digits-samples", "digits", x_0.reshape(-1, 1, 8, 8).numpy(), 17)
        options = ["--features", "pixels", "--reference", "digits", "--replicates", 2]
        row = _evaluate(tmp_path, tmp_path, "digits", *options)
        held_out = open_data("digits", split="test")
        real = torch.stack([held_out[i]["x_0"] for i in range(len(held_out))])
        expected = frechet_distance(*(FeatureMoments.of(x / 16) for x in (real, x_0)))
        # Grey levels are rounded to 8 bits, 0.2 % of the range at most.
        assert row["metrics"]["frechet"]["value"] == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        (
            "unet",
            ["--metrics", "perplexity"],
            "by inception are fid, is; got 'perplexity'",
        ),
        ("dit", ["--metrics", "fid"], "metrics of texts are perplexity, self-bleu, mauve, entropy"),
        ("unet", ["--features", "pixels"], "frechet needs real pictures; give --reference"),
        (
            "unet",
            ["--features", "pixels", "--metrics", "is"],
            "metrics of pictures by pixels are frechet; got 'is'",
        ),
        ("dit", ["--metrics", "mauve", "--judge", "J", "--tokenizer", "T"], "mauve needs 30 real"),
        ("none", [], "there is no run.json in it"),
        ("unet", ["--save-reference", "real"], "save_reference must end in .npz; got real"),
        (
            "unet",
            ["--save-reference", "real.npz", "--reference", "old.npz"],
            "save_reference needs a folder of real pictures as reference; got",
        ),
        ("unet", ["--save-reference", "real.npz"], "as reference; got None: give a folder"),
        ("unet", ["--level", "nan"], "level must lie in"),
        ("dit", ["--judge", "J", "--tokenizer", "T", "--level", 95], "level must lie in"),
        ("dit", ["--tokenizer", "/nowhere"], "tokenizer /nowhere cannot be opened"),
    ],
)
def test_bad_options(files, tmp_path, samples, options, message):
    paths = {"J": files / "judge", "T": files / "tokenizer"}
    with pytest.raises(ValueError, match=message):
        _evaluate(files, tmp_path, samples, *(paths.get(option, option) for option in options))
    assert not (tmp_path / "evaluations.jsonl").exists()


@pytest.mark.parametrize(
    ("option", "least"), [("--batch", 1), ("--replicates", 2), ("--mauve-seeds", 1)]
)
def test_numbers_are_refused_at_once(files, tmp_path, option, least, capsys):
    for value in (least - 1, -5):
        with pytest.raises(SystemExit):
            _evaluate(files, tmp_path, "dit", option, value, "--metrics", "self-bleu")
        message = f"{option}: must be a whole number of at least {least}; got '{value}'"
        assert message in capsys.readouterr().err
    assert not (tmp_path / "evaluations.jsonl").exists()


def test_command_line_is_one_line_on_error(tmp_path):
    result = run_here(["-m", "full_scale.evaluate", str(tmp_path)], ROOT)
    assert result.returncode == 2
    assert result.stderr.startswith("error: samples ")
    assert result.stderr.count("\n") == 1
