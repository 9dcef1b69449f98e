"""Inputs of metrics: likelihoods of a judge, features, and references in files."""

import math
import sys
from functools import partial
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from full_scale.data import cifar10
from full_scale.data.packed import Description, Rows, pack
from full_scale.data.tables import open_tokenizer
from full_scale.evaluation import FeatureMoments
from full_scale.evaluation.features import open_extractor, pixel_features
from full_scale.evaluation.judge import Judge, Likelihood, perplexity
from full_scale.evaluation.mauve_score import mauve
from full_scale.evaluation.reference import open_reference, stretched
from tests.helpers.tiny_text import END, WORDS, save_judge, save_tokenizer


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A judge and a tokenizer."""
    folder = tmp_path_factory.mktemp("metric_inputs")
    save_judge(folder / "judge", context=4)
    save_tokenizer(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def judge(files):
    return Judge(str(files / "judge"), batch_size=2)


class TestJudge:
    TEXTS = ([1, 2, 3, 4, 5, 6, 7], [8, 9], [3, 3, 3, 11], [1, 2, 3, 4, 5])

    def test_likelihood_is_that_of_each_window_by_itself(self, judge):
        """With a context of 4, 7 tokens give windows of 4 and 3; of 5 tokens one is not scored."""
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
        """One text has one token of probability 1/2, the other three tokens of probability 1/4."""
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

    def test_the_context_is_what_the_config_calls_it(self, tmp_path):
        """BLOOM and MPT call the context by other names. Mamba reads texts of any length."""
        import transformers

        save_tokenizer(tmp_path)
        sizes = {"vocab_size": len(WORDS) + 2, "n_layers": 1, "n_heads": 2}
        bloom = transformers.BloomConfig(**sizes, hidden_size=8, n_layer=1, n_head=2, seq_length=4)
        mpt = transformers.MptConfig(**sizes, d_model=8, max_seq_len=5)
        for config, context in ((bloom, 4), (mpt, 5)):
            transformers.AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
            judge = Judge(str(tmp_path))
            assert judge.context == context
            assert judge.likelihood([[1, 2, 3, 4, 5, 6, 7]]).scored.tolist() == [5]
        transformers.MambaConfig().save_pretrained(tmp_path)
        (tmp_path / "model.safetensors").unlink()  # its weights are not asked for
        with pytest.raises(ValueError, match=r"does not say how many tokens .* use another"):
            Judge(str(tmp_path))

    def test_bad_input(self, judge, tmp_path):
        with pytest.raises(ValueError, match="text 1 has fewer than two tokens"):
            judge.likelihood([[1, 2], [3]])
        save_tokenizer(tmp_path)
        with pytest.raises(ValueError, match=r"judge .* cannot be opened .*give a local folder"):
            Judge(str(tmp_path))


class TestMauve:
    @pytest.fixture
    def package(self, monkeypatch):
        """A replacement of mauve-text that records its arguments."""
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
        grey = pixel_features(colour[:, :1].expand(-1, 3, -1, -1))
        torch.testing.assert_close(
            grey.features, colour[:, 0].flatten(1).double().repeat(1, 3) / 255
        )
        assert (pixel_features(colour).grey, grey.grey) == (False, True)

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

    @pytest.mark.parametrize("colours", [0, 6])
    def test_grey_is_what_a_whole_set_is(self, tmp_path, open, colours):
        """The last batch is one grey picture. The reference keeps all channels nevertheless."""
        pixels = np.random.default_rng(0).integers(0, 256, (7, 4, 4, 3), dtype=np.uint8)
        pixels[colours:] = pixels[colours:, ..., :1]
        for i, image in enumerate(pixels):
            Image.fromarray(image).save(tmp_path / f"{i}.png")
        flat = pixels.transpose(0, 3, 1, 2).reshape(7, -1) / 255
        flat = flat if colours else flat[:, :16]
        reference = open(str(tmp_path))
        np.testing.assert_allclose(reference.mean, flat.mean(0))
        np.testing.assert_allclose(reference.covariance, np.cov(flat, rowvar=False), atol=1e-12)

    def test_saved_and_opened_again(self, tmp_path, open):
        first = open("digits", save=tmp_path / "a" / "digits.npz")
        again = open(str(tmp_path / "a" / "digits.npz"))
        torch.testing.assert_close(again.mean, first.mean)
        torch.testing.assert_close(again.covariance, first.covariance)
        with pytest.raises(ValueError, match="holds statistics of pixels features; give"):
            open(str(tmp_path / "a" / "digits.npz"), features="inception")

    def test_published_statistics_need_only_the_two(self, tmp_path, open):
        np.savez(tmp_path / "a.npz", mu=np.zeros(3), sigma=np.eye(3), other=1)
        moments = FeatureMoments.of(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
        assert open(str(tmp_path / "a.npz")).distance(moments) > 0

    def test_bad_sources(self, tmp_path, open):
        with pytest.raises(ValueError, match=r"holds no pictures; give an \.npz"):
            open(str(tmp_path))
        with pytest.raises(FileNotFoundError, match=r"no file .*; give a file that --save"):
            open(str(tmp_path / "a.npz"))
        np.savez(tmp_path / "b.npz", mu=np.zeros(3))
        with pytest.raises(ValueError, match=r"it has no sigma.*; give a file that --save"):
            open(str(tmp_path / "b.npz"))
        x_0 = np.zeros((2, 4), int)
        pack(tmp_path / "c", Description(4, 9, None, {}), lambda cursor: iter([Rows(x_0, None, 2)]))
        with pytest.raises(ValueError, match="holds tokens, not pixels"):
            open(str(tmp_path / "c"))
