"""Hostile pickles: nothing that they ask for is run, and no tensor reaches beyond its bytes."""

import collections
import contextlib
import pickle
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from full_scale.convert import unpickle
from full_scale.convert.unpickle import Record, flat_tensors, read_pickle
from tests.helpers.hostile_pickles import (
    HEAD,
    archive,
    attacks,
    program,
    quietly,
    with_strict_reader,
)

NAMES = [*attacks(Path("x"))]


@pytest.mark.parametrize("name", NAMES)
def test_attack_is_not_run(name, tmp_path):
    canary = tmp_path / "touched"
    path = archive(tmp_path / "x.pt", attacks(canary)[name])
    before = vars(unpickle).copy(), vars(Record).copy(), dict(unpickle._ALLOWED)
    content = quietly(read_pickle, path)
    quietly(flat_tensors, content)
    with contextlib.suppress(ValueError, TypeError, AttributeError, pickle.UnpicklingError):
        with_strict_reader(path)
    assert not canary.exists()
    assert (vars(unpickle), vars(Record), unpickle._ALLOWED) == before
    assert collections.OrderedDict([(1, 2)]) == {1: 2}


def test_the_attacks_are_real(tmp_path):
    """Each of the first kind does create the file where pickle itself reads it."""
    for name in NAMES[:11]:
        canary = tmp_path / "touched"
        body = attacks(canary)[name]
        result = subprocess.run(
            [sys.executable, "-c", f"import pickle; pickle.loads({body!r})"],
            capture_output=True,
            cwd=tmp_path,
        )
        assert canary.exists(), (name, result.stderr)
        canary.unlink()


def test_attack_on_the_reader_of_old_files(tmp_path):
    """Files from before torch 1.6 are a bare pickle."""
    for name, body in attacks(tmp_path / "touched").items():
        (tmp_path / "x.pt").write_bytes(body)
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            read_pickle(tmp_path / "x.pt")
        assert not (tmp_path / "touched").exists(), name


def test_archive_in_an_archive_is_only_bytes(tmp_path):
    inner = archive(tmp_path / "inner.pt", attacks(tmp_path / "touched")["os.system"])
    hidden = pickle.dumps({"file": inner.read_bytes()}, 2)
    content = quietly(read_pickle, archive(tmp_path / "outer.pt", hidden, s0=inner.read_bytes()))
    assert not (tmp_path / "touched").exists()
    assert flat_tensors(content) == {}


def test_script_archive_is_not_run(tmp_path):
    class Network(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 1

    with warnings.catch_warnings(action="ignore"):  # torch deprecates it
        torch.jit.script(Network()).save(tmp_path / "x.pt")
    assert flat_tensors(quietly(read_pickle, tmp_path / "x.pt")) == {}


def test_environment_cannot_switch_the_protection_off(tmp_path, monkeypatch):
    """This variable makes torch.load run any pickle, unless it is called with weights_only=True."""
    canary = tmp_path / "touched"
    path = archive(tmp_path / "x.pt", attacks(canary)["builtins.eval"])
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with pytest.warns(UserWarning, match="forcing weights_only=False"):
        torch.load(path)
    assert canary.exists()
    canary.unlink()
    read_pickle(path)
    assert not canary.exists()


def storage(dtype: str, key: str, numel: int) -> bytes:
    """The instructions that put a storage on the stack."""
    kind = f"ctorch\n{dtype}\n".encode()
    return program(b"(", "storage", kind, key, "cpu", b"J", struct.pack("<i", numel), b"tQ")


def tensor(source: bytes, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    numbers = [
        b"(" + b"".join(b"J" + struct.pack("<i", n) for n in v) + b"t" for v in (size, stride)
    ]
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n("
    return rebuild + source + b"J" + struct.pack("<i", offset) + b"".join(numbers) + b"\x89}tR"


FOUR = storage("FloatStorage", "0", 4)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tensor(FOUR, 1, (4,), (1,)), "beyond its storage"),
        (tensor(FOUR, 0, (2, 2), (3, 1)), "beyond its storage"),
        (tensor(FOUR, -1, (2,), (1,)), "impossible shape"),
        (tensor(FOUR, 3, (4,), (-1,)), "impossible shape"),
        (tensor(FOUR, 0, (2**30,), (0,)), "beyond its storage"),  # a huge tensor in no memory
        (tensor(FOUR, 0, (2, 2), (1,)), "zip"),
        (tensor(b"N", 0, (1,), (1,)), "without storage"),
        (storage("FloatStorage", "0", 5), "holds 4 numbers instead of 5"),
        (storage("DoubleStorage", "0", 4), "holds 2 numbers instead of 4"),
        (storage("FloatStorage", "1", 4), "no item named"),
        (storage("FloatStorage", "../data.pkl", 4), "no item named"),
        (storage("Elsewhere", "0", 4), "instead of a storage"),
    ],
)
def test_tensor_that_its_bytes_do_not_hold(body, message, tmp_path):
    path = archive(tmp_path / "x.pt", HEAD + body + b".", s0=bytes(16))
    with pytest.raises(ValueError, match=message):
        with_strict_reader(path) if message != "no item named" else read_pickle(path)


def test_pickle_that_unfolds_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(unpickle, "_MOST_ENTRIES", 10_000)
    doubled = (
        HEAD
        + b"]q\x00"
        + b"".join(b"](h" + bytes([i, 104, i]) + b"eq" + bytes([i + 1]) for i in range(60))
    )
    inside_itself = HEAD + b"]q\x00h\x00a."
    for body, message in ((doubled + b".", "10000 entries"), (inside_itself, "too deeply")):
        content = read_pickle(archive(tmp_path / "x.pt", body))
        with pytest.raises(ValueError, match=message):
            flat_tensors(content)


@given(st.binary(max_size=60))
def test_any_bytes_give_content_or_one_error(tmp_path_factory, body):
    path = archive(tmp_path_factory.mktemp("file") / "x.pt", HEAD + body + b".")
    content = quietly(read_pickle, path)
    assert flat_tensors(content).keys() == quietly(flat_tensors, content).keys()


@pytest.mark.parametrize("use", [b"K\x01s", b"K\x01\x86\x93"], ids=["as a key", "as a name"])
def test_tuples_that_unfold_without_end(tmp_path, use):
    """The hash of a tuple of twice the same tuple, 60 levels deep, takes 2^60 steps."""
    nested = b"K\x01\x85q\x00" + b"".join(b"h\x00h\x00\x86q\x00" for _ in range(60))
    body = HEAD + b"}" + nested + b"h\x00" + use + b"."
    archive(tmp_path / "x.pt", body)
    (tmp_path / "old.pt").write_bytes(body)
    for name in ("x.pt", "old.pt"):
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            read_pickle(tmp_path / name)


def test_refusals_do_not_advise_to_trust_the_file(tmp_path):
    """torch advises weights_only=False. That would run the file."""
    for name, body in attacks(tmp_path / "touched").items():
        (tmp_path / "x.pt").write_bytes(body)
        with pytest.raises(ValueError, match="not a whole checkpoint") as caught:
            read_pickle(tmp_path / "x.pt")
        assert "weights_only" not in str(caught.value), name
