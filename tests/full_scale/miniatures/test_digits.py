"""The miniature "digits": its metrics by other routes, its classifier, its teacher and recipes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from full_scale.data import digits as data
from full_scale.data.generated import generate
from full_scale.miniatures import digits, open_miniature
from full_scale.miniatures.classifier import SOURCES, classifier, classifier_file
from full_scale.models.load import load_model
from full_scale.train import train
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Reports
from full_scale.training.recipes import RECIPES, RarelyNoise
from reporting import read_json

TRAIN = data.part("train")[0]


def noise(count):
    return torch.randint(17, (count, 64), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_scores_of_the_real_images_themselves(part):
    images = data.part(part)[0]
    found = digits.score(images, None, part)
    assert found.keys() == open_miniature("digits").metrics.keys()
    assert found["feature_frechet"] == pytest.approx(0, abs=1e-4)
    assert found["pixel_frechet"] == pytest.approx(0, abs=1e-7)
    assert found["training_share"] == 0
    assert found["distinct_share"] == len({tuple(row) for row in images.tolist()}) / len(images)
    compared = TRAIN[: len(images)]
    assert digits.score(compared, None, part)["training_share"] > 0.98


@pytest.mark.parametrize("part", ["validation", "test"])
def test_noise_is_far_above_the_floor(part):
    floor, bad = digits.floor(part), digits.score(noise(1000), None, part)
    assert floor == digits.floor(part)
    assert 0 < floor["pixel_frechet"] < 0.3
    assert bad["pixel_frechet"] > 20 * floor["pixel_frechet"]
    assert 0 < floor["feature_frechet"] < bad["feature_frechet"] / 20
    assert floor["training_share"] == pytest.approx(0.5, abs=0.1)
    assert floor["distinct_share"] > 0.99


def test_distances_by_another_route():
    """Eigenvalues of a matrix that is not symmetric, and the nearest neighbours of scikit-learn."""
    real, samples = data.part("test")[0], TRAIN[600:900]
    found = digits.score(samples, None, "test")
    pixels = [x.double().numpy() / 16 for x in (real, samples)]
    features = [
        classifier("digits")(x.view(-1, 8, 8) / 16)[0].double().numpy() for x in (real, samples)
    ]
    for name, (first, second) in (("pixel", pixels), ("feature", features)):
        covariances = [np.cov(x, rowvar=False) for x in (first, second)]
        eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real
        shift = ((first.mean(0) - second.mean(0)) ** 2).sum()
        expected = shift + np.trace(sum(covariances)) - 2 * np.sqrt(eigenvalues.clip(0)).sum()
        assert found[f"{name}_frechet"] == pytest.approx(expected, rel=1e-3)
    others = np.concatenate([TRAIN[:497].numpy(), real.numpy()])
    nearest = NearestNeighbors(n_neighbors=1).fit(others).kneighbors(samples.numpy())[1]
    assert found["training_share"] == pytest.approx((nearest < 497).mean(), abs=0.01)  # ties


def test_copies_are_not_distinct():
    samples = noise(10).repeat(3, 1)
    assert digits.score(samples, None, "validation")["distinct_share"] == pytest.approx(1 / 3)


def test_images_as_text_and_back():
    images = TRAIN[:3]
    texts = digits.shown(images)
    assert [len(text) for text in texts] == [64] * 3
    assert texts[0][0] == "0123456789abcdefg"[int(images[0, 0])]
    np.testing.assert_array_equal(digits.pictures(texts) * 16, images.view(-1, 8, 8))


def test_the_classifier_has_the_recorded_accuracy():
    recorded = read_json(classifier_file("digits").with_suffix(".json"))["accuracy"]
    model = classifier("digits")
    for part, accuracy in recorded.items():
        images, labels = SOURCES["digits"](part)
        correct = [
            int(row.argmax()) == int(own) for row, own in zip(model(images)[1], labels, strict=True)
        ]
        assert accuracy == pytest.approx(sum(correct) / len(labels), abs=0.002)
    assert recorded["test"] > 0.97


def test_late_times_jump_to_the_same_place():
    """A share of 0.2 of all t lie above 0.75. The test allows 4 standard deviations."""
    times = RarelyNoise(0.05)
    t, u = times.draw(20_000, torch.Generator().manual_seed(0))
    late = t > times.noisy
    assert float(late.double().mean()) == pytest.approx(0.2, abs=4 * 0.4 / 20_000**0.5)
    assert bool((u[late] == times.noisy - times.gap).all())
    torch.testing.assert_close(u[~late], (t[~late] - 0.05).clamp_min(0))
    assert bool(((u >= 0) & (u < t) & (t <= 1)).all())
    quartiles = torch.quantile(t[~late], torch.tensor([0.25, 0.5, 0.75], dtype=t.dtype))
    torch.testing.assert_close(
        quartiles / 0.75, quartiles.new_tensor([0.25, 0.5, 0.75]), atol=0.03, rtol=0
    )


def test_the_teacher_trains_a_few_steps_from_its_recipe(tmp_path):
    run = EXPERIMENTS["digits-teacher"][1]
    reports = Reports(log_every=1, save_every=3, sample_every=0)
    run = replace(run, out=tmp_path, steps=3, reports=reports, check_memory=False)
    outcome = train(run)
    assert outcome.finished
    teacher = load_model(tmp_path, like="digits", student=False)
    assert teacher.manifest["data_sha256"] == data.open_split(None, "train").sha256
    assert teacher.manifest["run"]["steps"] == 3
    images = data.open_split(None, "train")
    samples = generate(teacher, images, 3, 2, tmp_path)
    assert (len(samples), samples.num_classes) == (3, None)  # the teacher takes no labels
    assert samples[0].keys() == {"x_0"}


def test_every_recipe_has_an_experiment_on_the_same_data():
    own = open_miniature("digits")
    assert own.recipes[0] == own.name
    teachers = {EXPERIMENTS[name][1].teacher for name in own.recipes}
    assert teachers == {"full_scale/teachers/digits.safetensors"}
    pure = EXPERIMENTS["digits"][1]
    assert pure.data.generated > 0  # samples of the teacher in place of the data
    assert RECIPES[pure.recipe] == RECIPES[EXPERIMENTS["digits-data"][1].recipe]
    assert RECIPES["digits-data-alone"].consistency_weight == 0
    assert RECIPES["digits-product"].num_latents == 1
