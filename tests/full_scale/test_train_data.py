"""Data sets by name, the digits, and the order in which training sees the data."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from full_scale.data import DATA, TokenData, digits, open_data
from full_scale.data.order import MicroBatches, epoch_order, items_at


def test_the_three_parts_of_the_digits_hold_every_image_once():
    parts = [open_data("digits"), open_data("digits", validation=True)]
    parts.append(open_data("digits", split="test"))
    assert all(isinstance(part, TokenData) for part in parts)
    assert [len(part) for part in parts] == list(digits.PARTS.values()) == [1000, 300, 497]
    images = torch.stack([part[i]["x_0"] for part in parts for i in range(len(part))])
    labels = torch.stack([part[i]["label"] for part in parts for i in range(len(part))])
    assert images.dtype == labels.dtype == torch.int64
    assert (int(images.min()), int(images.max())) == (0, digits.NUM_VALUES - 1)
    from sklearn.datasets import load_digits

    original = load_digits()
    pairs = zip(original.data.astype(int).tolist(), original.target.tolist(), strict=True)
    assert sorted(pairs) == sorted(zip(images.tolist(), labels.tolist(), strict=True))
    for part in parts:
        counts = torch.stack([part[i]["label"] for i in range(len(part))]).bincount()
        assert counts.shape == (10,)
        assert int(counts.min()) > len(part) / 15


def test_the_hash_of_the_digits_covers_images_labels_and_parts(monkeypatch):
    """Teachers and results record this hash. It changes only if the data change."""
    expected = "da1d7a39bc637b8d644cb0139dbf695ee9b3ff9c5bac24ae95c408746979a221"
    assert open_data("digits").sha256 == open_data("digits", split="test").sha256 == expected
    original = {name: digits.part(name) for name in digits.PARTS}
    (images, labels), held_out = original["validation"], original["test"]
    changed = images.clone()
    changed[-1, 0] += 1
    for other in (
        {"validation": (changed, labels)},
        {"validation": (images, labels.flip(0))},
        {"validation": held_out, "test": (images, labels)},
    ):
        monkeypatch.setattr(digits, "_parts", lambda other=other: original | other)
        assert digits._content_sha256.__wrapped__() != expected


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"data must be one of .*digits.*; got 'mnist'"):
        open_data("mnist")
    with pytest.raises(ValueError, match="split must be 'train' or 'test'; got 'valid'"):
        open_data("digits", split="valid")
    with pytest.raises(ValueError, match="digits has no option flip; its options are: validation"):
        open_data("digits", flip=True)
    with pytest.raises(ValueError, match="digits come with scikit-learn and take no data folder"):
        open_data("digits", "somewhere")
    with pytest.raises(ValueError, match="split must be 'train' with validation=True; got 'test'"):
        open_data("digits", split="test", validation=True)
    assert sorted(DATA) == list(DATA)


@given(st.integers(0, 2**40), st.integers(0, 5), st.integers(1, 60))
def test_an_epoch_visits_every_item_once(seed, epoch, size):
    assert sorted(epoch_order(seed, epoch, size).tolist()) == list(range(size))
    assert items_at(seed, epoch * size, size, size) == epoch_order(seed, epoch, size).tolist()


def test_epochs_and_seeds_differ():
    orders = {tuple(epoch_order(s, e, 50).tolist()) for s in range(3) for e in range(3)}
    assert len(orders) == 9


@given(st.integers(0, 99), st.integers(0, 200), st.integers(0, 40), st.integers(1, 17))
def test_items_come_from_one_fixed_sequence(seed, start, count, size):
    """The items at some positions do not depend on where reading starts."""
    epochs = range((start + count) // size + 1)
    whole = [i for e in epochs for i in epoch_order(seed, e, size).tolist()]
    assert items_at(seed, start, count, size) == whole[start : start + count]


@given(
    st.integers(0, 20),
    st.integers(1, 3),
    st.sampled_from([(1, 1), (2, 2), (4, 2), (6, 3)]),
    st.integers(0, 5),
)
def test_processes_share_out_the_global_batch_in_order(size, micro_batch, parts_world, first):
    size, (parts, world) = size + 1, parts_world
    steps = range(first, first + 2)
    options = {"micro_batch": micro_batch, "parts": parts}
    shares = [
        list(MicroBatches(size, 7, steps, **options, rank=rank, world=world))
        for rank in range(world)
    ]
    batch, share = micro_batch * parts, parts // world
    for k, step in enumerate(steps):
        together = [i for own in shares for part in own[k * share : (k + 1) * share] for i in part]
        assert together == items_at(7, step * batch, batch, size)
    assert {len(own) for own in shares} == {2 * share}


def test_uneven_shares_are_refused():
    with pytest.raises(ValueError, match="3 micro-batches cannot be shared out evenly among 2"):
        MicroBatches(10, 0, range(1), micro_batch=1, parts=3, world=2)


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="at least one item; got 0"):
        items_at(0, 0, 1, 0)
