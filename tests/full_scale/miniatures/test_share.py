"""Trainings on a share of the data: a fixed part, nested, and part of a run's identity."""

from dataclasses import replace

import pytest
import torch

from full_scale.data import TokenData, open_data
from full_scale.data.share import Share
from full_scale.training.assemble import assemble
from full_scale.training.config import Data
from full_scale.training.experiments import EXPERIMENTS

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
    assert third[:10] == tenth == items(0.1)
    assert len(set(third)) == 30
    assert sorted(items(1.0)) == list(range(100))
    assert tenth != sorted(tenth), "the first items would be the first words of the alphabet"
    part = Share(Numbers(), 1e-9)
    assert len(part) == 1
    assert isinstance(part, TokenData)
    assert part.sha256 == "hash"


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
