"""Trainings on a share of the data: a fixed part, nested, and part of a run's identity."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from full_scale.data import TokenData, open_data
from full_scale.data.mnist_tokens import MnistTokens
from full_scale.data.packed import Description, Rows, WithMirrorImages, pack
from full_scale.data.share import Share
from full_scale.miniatures import open_miniature
from full_scale.training.assemble import assemble
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Data

TEACHER = EXPERIMENTS["words-teacher"][1]


class Numbers:
    """Items 0, 1, 2, ..."""

    num_dims, num_values, num_classes, sha256 = 1, 100, None, "hash"

    def __len__(self):
        return 100

    def __getitem__(self, index):
        return {"x_0": torch.tensor([index])}


def items(share):
    part = Share(Numbers(), share)
    return [int(part[i]["x_0"]) for i in range(len(part))]


def test_shares_are_fixed_and_nested():
    tenth, third = items(0.1), items(0.3)
    assert (len(tenth), len(third)) == (10, 30)
    assert tenth == sorted(items(0.1))
    assert set(tenth) < set(third)
    assert items(1.0) == list(range(100))
    assert max(tenth) > 50, "the first items would be the first words of the alphabet"
    part = Share(Numbers(), 1e-9)
    assert len(part) == 1
    assert isinstance(part, TokenData)
    assert part.sha256 == "hash"


@pytest.mark.parametrize("share", [0.1, 0.35, 1.0])
def test_shifts_and_mirror_images_stay_with_their_example(share, tmp_path):
    shifts = MnistTokens("validation")
    images = Share(shifts, share).items.split(9)
    assert len(images) == round(share * 500)
    assert all(own.tolist() == list(range(int(own[0]), int(own[0]) + 9)) for own in images)
    assert all(int(own[0]) % 9 == 0 for own in images)

    def packed(source):
        rows = [Rows(np.arange(20 * 4, dtype=np.uint8).reshape(20, 4), np.zeros(20), 20)]
        description = Description(4, 100, 1, source)
        folder = tmp_path / f"pairs-{len(source)}"
        return pack(folder, description, lambda cursor: iter([] if cursor else rows), {})

    pairs, single = packed({"mirror": True}), packed({})
    assert Share(pairs, share).items.view(-1, 2).diff().unique().tolist() == [1]
    assert len(Share(pairs, share)) == 2 * round(share * 10)
    found = Share(WithMirrorImages(single, (1, 2, 2)), share).items.tolist()
    assert {item % 20 for item in found if item < 20} == {item - 20 for item in found if item >= 20}
    assert len(found) == 2 * round(share * 20)


def test_a_share_of_a_real_run():
    whole, part = assemble(TEACHER), assemble(replace(TEACHER, data=Data("words", share=0.1)))
    assert len(part.data) == round(0.1 * len(open_data("words")))
    assert "data_share" not in whole.identity
    assert part.identity == whole.identity | {"data_share": 0.1}


@pytest.mark.parametrize("share", [0.0, 1.1, float("nan")])
def test_wrong_shares_are_refused(share):
    with pytest.raises(ValueError, match=r"data.share must lie in \(0, 1\]; got"):
        replace(TEACHER, data=Data("words", share=share))


def test_a_batch_needs_as_many_examples():
    run = replace(TEACHER, data=Data("words", share=1e-3))
    with pytest.raises(ValueError, match=r"data words has \d\d training items and a batch has 256"):
        assemble(run)


@pytest.mark.parametrize("name", ["digits", "mnist-tokens"])
def test_the_memory_is_that_of_the_images_that_a_student_saw(name):
    data, miniature = open_data(name), open_miniature(name)
    seen = Share(data, 0.1)
    others = sorted(set(range(len(data))) - set(seen.items.tolist()))[::7][: len(seen)]
    shares = []
    for items in ([seen[i] for i in range(len(seen))], [data[i] for i in others]):
        samples, labels = (torch.stack([item[key] for item in items]) for key in ("x_0", "label"))
        shares.append(miniature.score(samples, labels, "test", 0.1)["training_share"])
    assert shares[0] > 0.95
    assert shares[1] == pytest.approx(0.5, abs=0.15)
