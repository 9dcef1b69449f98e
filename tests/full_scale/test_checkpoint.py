"""Checkpoints and tensor files: they return exactly what was saved, and damage is reported."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from full_scale.models.tensor_file import file_sha256, read_tensors, write_tensors
from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from tests.helpers.checkpoint_writer import same, state_at
from tests.helpers.hostile_pickles import archive, attacks
from tests.helpers.refusals import assert_refused

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
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
)


STATES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("abc./", min_size=1, max_size=3), inner, max_size=3)
        | st.dictionaries(st.integers(0, 5), inner, max_size=3)
    ),
    max_leaves=12,
)


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


class Custom:
    """A class whose objects a checkpoint may not hold."""


@pytest.mark.parametrize(("value", "kind"), [(Custom(), "Custom"), (os.system, "system")])
def test_a_state_with_other_objects_is_not_saved(value, kind, tmp_path):
    save_checkpoint(tmp_path, 1, state_at(1), {})
    before = sorted(tmp_path.iterdir())
    assert_refused(
        lambda: save_checkpoint(tmp_path, 2, {"part": {"a": [value]}}, {}, keep=1),
        rf"the state holds .*{kind}; it may hold tensors",
    )
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_resumed_training_equals_uninterrupted_training(optimizer, tmp_path):
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


def test_tensors_that_share_memory_are_restored(tmp_path):
    base = torch.arange(12.0)
    views = {"all": base, "part": base[3:5], "other": base.view(3, 4).T, "same": base}
    path = save_checkpoint(tmp_path, 1, {"part": views}, {})
    assert same(load_checkpoint(path).state["part"], views)


def test_the_newest_checkpoints_are_kept(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "absent") is None
    for step in (2, 30, 100_000_000, 999):  # unordered; one has more than 8 digits
        save_checkpoint(tmp_path, step, {}, {})
    assert latest_checkpoint(tmp_path).name == "step_100000000.pt"
    save_checkpoint(tmp_path, 1000, {}, {}, keep=3)
    steps = [load_checkpoint(p).step for p in tmp_path.glob("*.pt")]
    assert sorted(steps) == [999, 1000, 100_000_000]
    assert len(list(tmp_path.iterdir())) == 6


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    others = {"log.jsonl", "step_notes", "step_notes.pt", ".tmp_mine", "step_one.sha256"}
    for name in others:
        (tmp_path / name).write_text("mine")
    save_checkpoint(tmp_path, 1, {}, {}, keep=1)
    save_checkpoint(tmp_path, 2, {}, {}, keep=1)
    assert {p.name for p in tmp_path.iterdir()} == {
        *others,
        "step_00000002.pt",
        "step_00000002.pt.sha256",
    }


def test_a_checkpoint_is_never_overwritten(tmp_path):
    path = save_checkpoint(tmp_path, 4, state_at(4), {})
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    message = r"step_00000004\.pt exists already; use a new folder for a new run"
    assert_refused(lambda: save_checkpoint(tmp_path, 4, {"optimizer": {}}, {}), message)
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
    assert same(load_checkpoint(path).state, state_at(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": -1}, "step must be at least 0; got -1"),
        ({"keep": 0}, "keep must be at least 1, or None to keep all; got 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_checkpoint(tmp_path, **({"step": 1, "state": {}, "config": {}} | arguments))
    assert list(tmp_path.iterdir()) == []


FILES = ["step_00000001.pt", "step_00000001.pt.sha256"]
DAMAGED = r"step_00000001\.pt is not what was saved: .*copy the checkpoint again, or remove it"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
def test_a_changed_byte_is_reported(name, place, tmp_path):
    path = save_checkpoint(tmp_path, 1, state_at(1), {"lr": 0.25})
    content = bytearray((tmp_path / name).read_bytes())
    length = 64 if name.endswith("sha256") else len(content)  # the hash; after it comes the name
    content[round(place * (length - 1))] ^= 1
    (tmp_path / name).write_bytes(content)
    assert_refused(lambda: load_checkpoint(path), DAMAGED)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 60])
def test_a_truncated_file_is_reported(name, size, tmp_path):
    path = save_checkpoint(tmp_path, 1, state_at(1), {})
    os.truncate(tmp_path / name, size)
    assert_refused(lambda: load_checkpoint(path), DAMAGED)


def test_missing_files_are_reported(tmp_path):
    path = save_checkpoint(tmp_path, 1, state_at(1), {})
    (tmp_path / FILES[1]).unlink()
    assert latest_checkpoint(tmp_path) == path  # a checkpoint without its hash is not skipped
    assert_refused(lambda: load_checkpoint(path), r"step_00000001\.pt\.sha256 is missing; copy")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no file .*check the path"):
        load_checkpoint(path)


def test_the_hash_file_has_the_format_of_sha256sum(tmp_path):
    path = save_checkpoint(tmp_path, 1, {}, {})
    line = path.with_name(f"{path.name}.sha256").read_text()
    assert line == f"{file_sha256(path)}  {path.name}\n"


def _with_its_hash(path):
    """Write the correct hash of a file beside it, as an attacker would. Return the file."""
    path.with_name(f"{path.name}.sha256").write_text(f"{file_sha256(path)}  {path.name}\n")
    return path


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", attacks(Path()))
def test_nothing_in_the_file_is_executed(name, tmp_path):
    canary = tmp_path / "executed"
    path = _with_its_hash(archive(tmp_path / "step_00000001.pt", attacks(canary)[name]))
    assert_refused(lambda: load_checkpoint(path), "is not the checkpoint of a training run")
    assert not canary.exists()


@pytest.mark.parametrize(
    "content",
    [{"step": 1}, [1, 2], torch.ones(2), b"", b"x", b"\x80\x02", b"PK\x03\x04"],
    ids=repr,
)
def test_a_file_that_is_no_checkpoint_is_refused(content, tmp_path):
    """Bytes are the content of the file. Other objects are written by `torch.save`."""
    path = tmp_path / "step_00000001.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    _with_its_hash(path)
    assert_refused(lambda: load_checkpoint(path), "is not the checkpoint of a training run")


def test_a_safetensors_file_of_another_program_has_no_description(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt"})
    tensors, description = read_tensors(tmp_path / "a.safetensors")
    assert same(tensors, {"a": torch.ones(2)})
    assert description is None


def test_equal_tensors_give_equal_files_in_any_order(tmp_path):
    tensors = {name: torch.full((3,), 2.0) for name in "cab"}
    for name in ("x", "y"):
        write_tensors(tmp_path / name, tensors, {"b": 1, "a": [2, None]})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    assert read_tensors(tmp_path / "x")[1] == {"b": 1, "a": [2, None]}


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x08\0\0\0\0\0\0\0{}      "[:12]])
def test_a_missing_or_damaged_safetensors_file_is_refused(content, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        read_tensors(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_tensors(tmp_path / "y")
