"""Checkpoints: bit by bit what was saved, checked when loaded."""

import json
import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch.testing import assert_close

from full_scale.models.tensor_file import read_tensors, write_tensors
from full_scale.nested import flatten, unflatten
from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from tests.helpers.checkpoint_writer import same, state_at

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def tensors():
    return st.builds(
        lambda dtype, shape, seed: torch.randint(
            0, 2, shape, generator=torch.Generator().manual_seed(seed)
        ).to(dtype),
        st.sampled_from(DTYPES),
        st.lists(st.integers(0, 3), max_size=3),
        st.integers(0, 9),
    )


LEAVES = (
    tensors()
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)


STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        # No slashes in keys: they would give two places one name, which is an error of its own.
        | st.dictionaries(st.text("abc.", min_size=1, max_size=3), inner, max_size=3)
        | st.dictionaries(st.integers(0, 5), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(STATES)
def test_flatten_and_unflatten_are_inverse(state):
    flat, structure = flatten(state)
    assert all(isinstance(tensor, torch.Tensor) for tensor in flat.values())
    assert same(unflatten(flat, structure), state)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": {"b": {1, 2}}}, "a/b is {1, 2} of type set"),
        ({"a": [0.0, float("nan")]}, "a/1 is nan"),
        ({"a": {(1, 2): 0}}, "key (1, 2) at a"),
        ({"a/b": torch.ones(1), "a": {"b": torch.ones(1)}}, "two tensors of the state are called"),
        ({0: torch.ones(1), "0": torch.ones(1)}, "two tensors of the state are called '0'"),
    ],
)
def test_state_that_cannot_be_stored(state, message, tmp_path):
    with pytest.raises(ValueError, match=r"a state holds|use a string|rename one") as caught:
        save_checkpoint(tmp_path, 1, {"part": state}, {})
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flat", "structure"),
    [
        ({}, '{"tensor": "a"}'),
        ({"a": torch.ones(1)}, "3"),
        ({"a": torch.ones(1)}, "["),
        ({}, '{"set": []}'),
        ({}, "{}"),
    ],
)
def test_structure_of_another_state(flat, structure):
    with pytest.raises(ValueError, match="structure of the nested state"):
        unflatten(flat, structure)


@given(st.dictionaries(st.text("ab", min_size=1, max_size=3), STATES, max_size=3))
def test_checkpoint_returns_what_was_saved(tmp_path_factory, state):
    folder = tmp_path_factory.mktemp("run")
    config = {"lr": 0.1 + 0.2, "name": "x", "sizes": [1, 2], "none": None}
    path = save_checkpoint(folder, 7, state, config, {"seed": 3})
    assert path == latest_checkpoint(folder)
    loaded = load_checkpoint(path)
    assert (loaded.step, loaded.config, loaded.manifest) == (7, config, {"seed": 3})
    assert loaded.state.keys() == state.keys()
    assert all(same(loaded.state[name], state[name]) for name in state)


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_training_continues_bit_by_bit(optimizer, tmp_path):
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {"amsgrad": True}

    def build():
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
        rule = optimizer(network.parameters(), lr=0.01, **options)
        return network, rule, torch.optim.lr_scheduler.LinearLR(rule)

    def train(network, rule, schedule, steps):
        for step in steps:
            x = torch.randn(5, 4, generator=torch.Generator().manual_seed(step))
            rule.zero_grad()
            network(x).square().mean().backward()
            rule.step()
            schedule.step()

    def states(network, rule, schedule):
        return {
            "model": network.state_dict(),
            "optimizer": rule.state_dict(),
            "schedule": schedule.state_dict(),
        }

    straight, stopped, resumed = build(), build(), build()
    train(*straight, range(6))
    train(*stopped, range(3))
    loaded = load_checkpoint(save_checkpoint(tmp_path, 3, states(*stopped), {})).state
    for module, name in zip(resumed, loaded, strict=True):
        module.load_state_dict(loaded[name])
    train(*resumed, range(3, 6))
    assert same(states(*resumed), states(*straight))


def test_weights_are_an_ordinary_safetensors_file(tmp_path):
    network = torch.nn.Linear(3, 2)
    path = save_checkpoint(tmp_path, 1, {"model": network.state_dict()}, {})
    assert_close(load_file(path / "model.safetensors"), dict(network.state_dict()), rtol=0, atol=0)


def test_tensors_that_share_memory(tmp_path):
    base = torch.arange(12.0)
    views = {"all": base, "part": base[3:5], "other": base.view(3, 4).T, "same": base}
    path = save_checkpoint(tmp_path, 1, {"part": views}, {})
    assert same(load_checkpoint(path).state["part"], views)


def test_newest_ones_are_kept(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "absent") is None
    for step in (2, 30, 100_000_000, 999):  # more digits than the names are padded to, any order
        save_checkpoint(tmp_path, step, {}, {})
    assert latest_checkpoint(tmp_path).name == "step_100000000"
    save_checkpoint(tmp_path, 1000, {}, {}, keep=3)
    steps = [load_checkpoint(p).step for p in tmp_path.iterdir()]
    assert sorted(steps) == [999, 1000, 100_000_000]


def test_other_files_of_the_run_are_left_alone(tmp_path):
    for name in ("log.jsonl", "step_notes", ".tmp_mine"):
        (tmp_path / name).write_text("mine")
    save_checkpoint(tmp_path, 1, {}, {}, keep=1)
    save_checkpoint(tmp_path, 2, {}, {}, keep=1)
    assert {p.name for p in tmp_path.iterdir()} == {
        *("log.jsonl", "step_notes", ".tmp_mine", "step_00000002")
    }


def test_same_step_again(tmp_path):
    path = save_checkpoint(tmp_path, 4, state_at(4), {})
    before = {p.name: p.stat().st_mtime_ns for p in path.iterdir()}
    assert save_checkpoint(tmp_path, 4, state_at(4), {}) == path
    assert {p.name: p.stat().st_mtime_ns for p in path.iterdir()} == before
    with pytest.raises(ValueError, match=r"other values of optimizer\.safetensors; use a new"):
        save_checkpoint(tmp_path, 4, state_at(4) | {"optimizer": {}}, {})
    assert same(load_checkpoint(path).state, state_at(4))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": -1}, "step must be at least 0; got -1"),
        ({"keep": 0}, "keep must be at least 1, or None to keep all; got 0"),
        ({"state": {"../model": {}}}, "part '../model'; use letters"),
    ],
)
def test_bad_arguments(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_checkpoint(tmp_path, **({"step": 1, "state": {}, "config": {}} | arguments))
    assert list(tmp_path.iterdir()) == []


NAMES = ["model.safetensors", "optimizer.safetensors", "checkpoint.json"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
def test_altered_byte_is_named(name, place, tmp_path):
    file = save_checkpoint(tmp_path, 1, state_at(1), {"lr": 0.25}) / name
    content = bytearray(file.read_bytes())
    content[round(place * (len(content) - 2))] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{name} is not what was saved"):
        load_checkpoint(file.parent)


@pytest.mark.parametrize("name", NAMES)
def test_truncated_file_is_named(name, tmp_path):
    file = save_checkpoint(tmp_path, 1, state_at(1), {}) / name
    os.truncate(file, file.stat().st_size - 5)
    with pytest.raises(ValueError, match=f"{name} is not what was saved"):
        load_checkpoint(file.parent)


def test_missing_files_are_named(tmp_path):
    path = save_checkpoint(tmp_path, 1, state_at(1), {})
    (path / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"model\.safetensors is missing"):
        load_checkpoint(path)
    (path / "checkpoint.json").unlink()
    with pytest.raises(FileNotFoundError, match="no checkpoint in"):
        load_checkpoint(path)


def test_every_changed_config_value_is_noticed(tmp_path):
    path = save_checkpoint(tmp_path, 1, {}, {"lr": 0.25, "steps": 10})
    record = json.loads((path / "checkpoint.json").read_text())
    for change in ({"step": 2}, {"config": {"lr": 0.26, "steps": 10}}, {"files": {"a": {}}}):
        (path / "checkpoint.json").write_text(json.dumps(record | change))
        with pytest.raises(ValueError, match=r"checkpoint\.json is not what was saved"):
            load_checkpoint(path)


def test_file_of_another_program(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt"})
    tensors, description = read_tensors(tmp_path / "a.safetensors")
    assert same(tensors, {"a": torch.ones(2)})
    assert description is None


def test_equal_tensors_give_equal_files(tmp_path):
    tensors = {name: torch.full((3,), 2.0) for name in "cab"}
    for name in ("x", "y"):
        write_tensors(tmp_path / name, tensors, {"b": 1, "a": [2, None]})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert read_tensors(tmp_path / "x")[1] == {"b": 1, "a": [2, None]}


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x08\0\0\0\0\0\0\0{}      "[:12]])
def test_file_that_is_not_safetensors(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        read_tensors(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_tensors(tmp_path / "y")
