"""Evaluation: the judge against plain loops, references against files, rows with their origin."""

import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from figures.evaluations import our_runs
from full_scale import evaluate, sample
from full_scale.data import cifar10, open_data
from full_scale.data.packed import Description, Rows, pack
from full_scale.data.tables import open_tokenizer
from full_scale.metrics import FeatureMoments, frechet_distance, self_bleu, sequence_entropy
from full_scale.metrics.features import open_extractor, pixel_features
from full_scale.metrics.judge import Judge, Likelihood, perplexity
from full_scale.metrics.mauve_score import mauve
from full_scale.metrics.reference import open_reference, stretched
from full_scale.sample_folder import SampleFolder
from reporting import read_rows
from tests.tiny_models import DIT, MASKGIT, UNET, VQGAN, save_model
from tests.tiny_text import END, WORDS, save_judge, save_tokenizer

ROOT = Path(__file__).parents[1]


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


@pytest.fixture(scope="module")
def judge(files):
    return Judge(str(files / "judge"), batch_size=2)


class TestJudge:
    TEXTS = ([1, 2, 3, 4, 5, 6, 7], [8, 9], [3, 3, 3, 11], [1, 2, 3, 4, 5])

    def test_likelihood_is_that_of_each_window_by_itself(self, judge):
        """Context 4: 7 tokens are windows of 4 and 3; of 5 tokens the last has nothing to score."""
        likelihood = judge.likelihood(self.TEXTS)
        assert likelihood.scored.tolist() == [3 + 2, 1, 3, 3]
        for text, nll in zip(self.TEXTS, likelihood.nll.tolist(), strict=True):
            expected = 0.0
            for start in range(0, len(text), 4):
                window = text[start : start + 4]
                logits = judge.model(torch.tensor([window])).logits[0].double()
                for i in range(1, len(window)):
                    probs = logits[i - 1].exp() / logits[i - 1].exp().sum()
                    expected -= math.log(float(probs[window[i]]))
            assert nll == pytest.approx(expected, rel=1e-5)

    def test_features_are_those_of_the_last_token(self, judge):
        features = judge.features(self.TEXTS)
        for text, feature in zip(self.TEXTS, features, strict=True):
            hidden = judge.model.transformer(torch.tensor([text[:4]])).last_hidden_state[0, -1]
            torch.testing.assert_close(feature, hidden, rtol=1e-4, atol=1e-5)

    def test_batches_do_not_matter(self, files, judge):
        other = Judge(str(files / "judge"), batch_size=3)
        torch.testing.assert_close(other.likelihood(self.TEXTS), judge.likelihood(self.TEXTS))

    def test_perplexity_weighs_tokens(self):
        """Two texts: one token at probability 1/2 and three at 1/4."""
        likelihood = Likelihood(
            torch.tensor([math.log(2), 3 * math.log(4)]).double(), torch.tensor([1, 3]).double()
        )
        assert perplexity(likelihood) == pytest.approx(2 ** (7 / 4))

    def test_knows_its_own_tokens(self, files, judge, tmp_path):
        assert judge.shares_vocabulary(open_tokenizer(str(files / "tokenizer")))
        save_tokenizer(tmp_path)
        path = tmp_path / "tokenizer.json"
        path.write_text(path.read_text().replace('"cat"', '"cow"'))
        assert not judge.shares_vocabulary(open_tokenizer(str(tmp_path)))
        assert judge.encode([f"the cat {END}"]) == [[1, 2, len(WORDS) + 1]]

    def test_bad_input(self, judge, tmp_path):
        with pytest.raises(ValueError, match="text 1 has fewer than two tokens"):
            judge.likelihood([[1, 2], [3]])
        save_tokenizer(tmp_path)
        with pytest.raises(ValueError, match=r"judge .* cannot be opened .*give a local folder"):
            Judge(str(tmp_path))


class TestMauve:
    @pytest.fixture
    def package(self, monkeypatch):
        """Stands in for mauve-text where it is not installed; keeps what it was asked."""
        calls = []

        def compute_mauve(**options):
            calls.append(options)
            return SimpleNamespace(mauve=0.5 + options["seed"] / 100)

        module = ModuleType("mauve")
        module.compute_mauve = compute_mauve
        monkeypatch.setitem(sys.modules, "mauve", module)
        return calls

    def test_mean_and_deviation_over_seeds(self, package):
        real, generated = torch.zeros(3, 2), torch.ones(3, 2)
        score = mauve(real, generated, seeds=(1, 2, 3))
        assert score.values == [0.51, 0.52, 0.53]
        assert score.mean == pytest.approx(0.52)
        assert score.deviation == pytest.approx(0.01)
        assert [call["seed"] for call in package] == [1, 2, 3]
        np.testing.assert_array_equal(package[0]["p_features"], real)
        np.testing.assert_array_equal(package[0]["q_features"], generated)
        assert package[0]["mauve_scaling_factor"] == 5

    def test_bad_input(self, monkeypatch):
        features = torch.zeros(3, 2)
        with pytest.raises(ValueError, match="at least one seed"):
            mauve(features, features, seeds=())
        with pytest.raises(ValueError, match="generated must hold at least two texts; got 1"):
            mauve(features, features[:1])
        monkeypatch.setitem(sys.modules, "mauve", None)
        with pytest.raises(ValueError, match=r"MAUVE needs mauve-text .*pip install"):
            mauve(features, features)


class TestFeatures:
    def test_pixels(self):
        colour = torch.arange(24, dtype=torch.uint8).reshape(2, 3, 2, 2)
        torch.testing.assert_close(
            pixel_features(colour).features, torch.arange(24).reshape(2, 12).double() / 255
        )
        grey = colour[:, :1].expand(-1, 3, -1, -1)
        torch.testing.assert_close(
            pixel_features(grey).features, colour[:, 0].flatten(1).double() / 255
        )

    def test_missing_package_is_one_line(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch_fidelity", None)
        with pytest.raises(ValueError, match=r"need torch-fidelity .*\[metrics\].*pixels$"):
            open_extractor("inception")
        with pytest.raises(ValueError, match="features must be one of inception, pixels; got 'x'"):
            open_extractor("x")

    def test_stretched(self):
        picture = torch.tensor([[[[50, 100]], [[75, 50]], [[60, 70]]]], dtype=torch.uint8)
        expected = [[[0, 255]], [[127, 0]], [[51, 102]]]
        assert stretched(picture)[0].tolist() == expected
        flat = torch.full((1, 3, 2, 2), 9, dtype=torch.uint8)
        assert stretched(flat).unique().tolist() == [0]


class TestReference:
    @pytest.fixture
    def open(self):
        return partial(
            open_reference,
            features="pixels",
            extractor=pixel_features,
            look=lambda batch: batch,
            resolution=4,
            batch_size=3,
        )

    def test_packed_pixels(self, tmp_path, open, monkeypatch):
        monkeypatch.setattr(cifar10, "SHAPE", (3, 4, 4))  # smaller pictures, quicker eigenvalues
        x_0 = np.random.default_rng(0).integers(0, 256, (10, 48))
        description = Description(48, 256, None, {})
        pack(tmp_path, description, lambda cursor: iter([Rows(x_0, None, 10)]))
        reference = open(str(tmp_path))
        np.testing.assert_allclose(reference.mean, x_0.mean(0) / 255)
        np.testing.assert_allclose(reference.covariance, np.cov(x_0 / 255, rowvar=False), atol=1e-9)

    def test_picture_files(self, tmp_path, open):
        pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
        for i, image in enumerate(pixels):
            (tmp_path / f"class{i % 2}").mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / f"class{i % 2}" / f"{i}.png")
        flat = pixels.transpose(0, 3, 1, 2).reshape(7, -1) / 255
        reference = open(str(tmp_path))
        np.testing.assert_allclose(reference.mean, flat.mean(0))
        np.testing.assert_allclose(reference.covariance, np.cov(flat, rowvar=False), atol=1e-12)

    def test_saved_and_opened_again(self, tmp_path, open):
        first = open("digits", save=tmp_path / "a" / "digits.npz")
        again = open(str(tmp_path / "a" / "digits.npz"))
        torch.testing.assert_close(again.mean, first.mean)
        torch.testing.assert_close(again.covariance, first.covariance)
        with pytest.raises(ValueError, match="made with pixels features, not inception"):
            open(str(tmp_path / "a" / "digits.npz"), features="inception")

    def test_published_statistics_need_only_the_two(self, tmp_path, open):
        np.savez(tmp_path / "a.npz", mu=np.zeros(3), sigma=np.eye(3), other=1)
        moments = FeatureMoments.of(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
        assert open(str(tmp_path / "a.npz")).distance(moments) > 0

    def test_bad_sources(self, tmp_path, open):
        with pytest.raises(ValueError, match=r"holds no pictures; give an \.npz"):
            open(str(tmp_path))
        with pytest.raises(ValueError, match="is missing; make one with --save-reference"):
            open(str(tmp_path / "a.npz"))
        np.savez(tmp_path / "b.npz", mu=np.zeros(3))
        with pytest.raises(ValueError, match="has no sigma; give another"):
            open(str(tmp_path / "b.npz"))
        x_0 = np.zeros((2, 4), int)
        pack(tmp_path / "c", Description(4, 9, None, {}), lambda cursor: iter([Rows(x_0, None, 2)]))
        with pytest.raises(ValueError, match="holds tokens and no pixels"):
            open(str(tmp_path / "c"))


def _evaluate(files, tmp_path, samples, *options):
    rows = tmp_path / "evaluations.jsonl"
    arguments = [str(files / f"{samples}-samples"), "--results", str(rows), "--device", "cpu"]
    evaluate.main([*arguments, *map(str, options)])
    return read_rows(rows)[-1]


class TestRows:
    def test_pictures(self, files, tmp_path, capsys):
        """The samples have 4 x 4 pixels; the reference is saved statistics of as many."""
        reference = tmp_path / "real.npz"
        np.savez(reference, mu=np.full(16, 0.5), sigma=np.eye(16) / 9)
        options = ["--features", "pixels", "--reference", reference, "--seed", 3]
        row = _evaluate(files, tmp_path, "unet", *options)
        entry = row["metrics"]["frechet"]
        samples = SampleFolder(files / "unet-samples").samples().astype(float)
        grey = torch.from_numpy(np.round(samples * 255 / 7) / 255)
        expected = frechet_distance(
            FeatureMoments(2, torch.full((16,), 0.5).double(), torch.eye(16).double() / 9),
            FeatureMoments.of(grey),
        )
        assert entry["value"] == pytest.approx(expected)
        assert entry["low"] < entry["value"] < entry["high"]
        assert (entry["level"], entry["replicates"]) == (0.95, 20)
        assert row["few_samples"] is True
        assert (row["experiment"], row["role"], row["steps"]) == ("other", "teacher", 2)
        assert row["num_samples"] == 30
        assert row["protocol"]["reference"] == "real.npz"
        assert row["manifest"]["seed"] == 3
        assert row["manifest"]["samples"]["settings"]["seed"] == 0
        assert our_runs(tmp_path, "other", "frechet") == [row]
        assert our_runs(tmp_path, "other", "fid") == []  # no figure takes it for one
        assert str(tmp_path) not in json.dumps(row)
        assert str(files) not in json.dumps(row)
        out = capsys.readouterr().out
        assert "30 samples, fewer than 50000: not comparable" in out
        assert "95% from" in out

    def test_inception(self, files, tmp_path, monkeypatch):
        """FID and IS with a stand-in for torch-fidelity's network."""
        asked = []

        class Network(torch.nn.Module):
            def __init__(self, *arguments, **options):
                super().__init__()
                asked.append((*arguments, options))

            def forward(self, pictures):
                assert pictures.dtype == torch.uint8
                grey = pictures[:, 0].flatten(1).float()
                return grey, grey[:, :3] / 50

        module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
        module.FeatureExtractorInceptionV3 = Network
        monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
        monkeypatch.setitem(sys.modules, module.__name__, module)
        reference = tmp_path / "real.npz"
        np.savez(reference, mu=np.full(16, 100), sigma=np.eye(16) * 400)
        row = _evaluate(files, tmp_path, "unet", "--reference", reference, "--replicates", 3)
        assert asked == [("inception-v3-compat", ["2048", "logits_unbiased"], {"verbose": False})]
        samples = SampleFolder(files / "unet-samples").samples().astype(float)
        grey = torch.from_numpy(np.round(samples * 255 / 7))
        # Ten splits of three pictures in the order of torch-fidelity.
        order = np.random.RandomState(2020).permutation(30)
        scores = []
        for part in np.split(grey[order, :3].numpy() / 50, 10):
            probs = np.exp(part) / np.exp(part).sum(1, keepdims=True)
            divergence = (probs * np.log(probs / probs.mean(0))).sum(1).mean()
            scores.append(np.exp(divergence))
        assert row["metrics"]["is"]["value"] == pytest.approx(np.mean(scores), rel=1e-6)
        real = FeatureMoments(2, torch.full((16,), 100.0).double(), torch.eye(16).double() * 400)
        expected = frechet_distance(real, FeatureMoments.of(grey))
        assert row["metrics"]["fid"]["value"] == pytest.approx(expected)
        assert {entry["replicates"] for entry in row["metrics"].values()} == {3}

    def test_codes(self, files, tmp_path):
        """Decoded by the VQGAN; the features of its 8 x 8 colour pictures."""
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
        row = _evaluate(files, tmp_path, "dit", *options, "--replicates", 50, "--level", 0.9)
        tokens = SampleFolder(files / "dit-samples").samples().astype(np.int64)
        values = row["metrics"]
        assert list(values) == ["entropy", "self-bleu", "perplexity"]
        entropy = float(sequence_entropy(torch.from_numpy(tokens)).mean())
        assert values["entropy"]["value"] == pytest.approx(entropy)
        bleu = float(self_bleu(tokens.tolist()).mean())
        assert values["self-bleu"]["value"] == pytest.approx(bleu)
        likelihood = Judge(str(files / "judge")).likelihood(tokens.tolist())
        assert values["perplexity"]["value"] == pytest.approx(perplexity(likelihood))
        assert values["perplexity"]["judged"] == "tokens"
        assert {entry["level"] for entry in values.values()} == {0.9}
        assert row["protocol"] == {"judge": "judge", "tokenizer": "tokenizer"}
        assert "90% from" in capsys.readouterr().out

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
        """The training half scores the distance of the halves: the floor."""
        folder = SampleFolder.create(
            tmp_path / "digits-samples",
            {
                "experiment": "digits",
                "role": "teacher",
                "model": {"name": "data"},
                "plan": {"sampler": "none", "steps": 0, "teacher_steps": 0, "guidance": 0.0},
                "redraw": None,
                "seed": 0,
                "content": {"kind": "pixels", "shape": [1, 8, 8], "levels": 17},
            },
            899,
            64,
            17,
            {},
        )
        data = open_data("digits")
        x_0 = torch.stack([data[i]["x_0"] for i in range(899)])
        folder.write(range(899), x_0.numpy())
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
        ("unet", ["--features", "pixels"], "frechet needs real pictures: --reference"),
        (
            "unet",
            ["--features", "pixels", "--metrics", "is"],
            "metrics of pictures by pixels are frechet; got 'is'",
        ),
        ("dit", ["--metrics", "mauve", "--judge", "J", "--tokenizer", "T"], "mauve needs 30 real"),
        ("none", [], "are missing: no run.json"),
        ("unet", ["--save-reference", "real"], "save_reference must end in .npz; got real"),
        ("dit", ["--judge", "J", "--tokenizer", "T", "--level", 95], "level must lie in"),
        ("dit", ["--tokenizer", "/nowhere"], "tokenizer /nowhere cannot be opened"),
    ],
)
def test_bad_options(files, tmp_path, samples, options, message):
    paths = {"J": files / "judge", "T": files / "tokenizer"}
    with pytest.raises(ValueError, match=message):
        _evaluate(files, tmp_path, samples, *(paths.get(option, option) for option in options))
    assert not (tmp_path / "evaluations.jsonl").exists()


@pytest.mark.slow
def test_command_line_is_one_line_on_error(files, tmp_path):
    command = [sys.executable, "-m", "full_scale.evaluate", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error: samples ")
    assert result.stderr.count("\n") == 1
