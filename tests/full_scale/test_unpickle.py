"""Foreign pickles: the right tensors come out, and nothing that they ask for is run."""

import argparse
import collections
import contextlib
import os
import pickle
import struct
import subprocess
import sys
import types
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from full_scale.convert.__main__ import unpickle
from full_scale.convert.unpickle import Record, flat_tensors, read_pickle
from tests.helpers.hostile_pickles import HEAD, archive, attacks, program
from tests.helpers.refusals import assert_refused

DTYPES = list(unpickle._STORAGES.values())


@pytest.fixture
def foreign_module():
    """A module that exists while the file is saved and not when it is read."""
    module = types.ModuleType("someone_elses")
    for name, base in (("Config", object), ("Listing", list), ("Mapping", dict)):
        setattr(module, name, type(name, (base,), {"__module__": module.__name__}))
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop(module.__name__, None)


def with_strict_reader(path: Path):
    """The restricted reader alone, whatever torch.load would have said."""
    with zipfile.ZipFile(path) as file:
        return unpickle._Unpickler(file).load()


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=3),
    st.booleans(),
    st.integers(0, 3),
)
def test_both_readers_give_the_saved_tensors(tmp_path_factory, dtype, shape, turned, skipped):
    base = torch.arange(100).remainder(7).to(dtype)
    numel = torch.Size(shape).numel()
    tensor = base[skipped : skipped + numel].view(shape)
    tensor = tensor.transpose(0, -1) if turned and shape else tensor
    path = tmp_path_factory.mktemp("file") / "x.pt"
    torch.save({"a": tensor, "b": [tensor, base, 3, 0.5]}, path)
    for read in (read_pickle, with_strict_reader):
        content = read(path)
        assert torch.equal(content["a"], tensor)
        assert content["a"].dtype == dtype
        assert torch.equal(content["b"][1], base)
        assert content["b"][2:] == [3, 0.5]


def test_modules_and_optimisers(tmp_path):
    network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    rule = torch.optim.Adam(network.parameters())
    network(torch.randn(4, 3)).square().sum().backward()
    rule.step()
    ema = [p.detach() + 1 for p in network.parameters()]
    saved = {"model": network.state_dict(), "ema": ema, "optimizer": rule.state_dict(), "n": 7}
    saved["parameter"] = torch.nn.Parameter(torch.ones(2))
    torch.save(saved, tmp_path / "x.pt")
    for read in (read_pickle, with_strict_reader):
        flat = flat_tensors(read(tmp_path / "x.pt"))
        for name, tensor in network.state_dict().items():
            assert torch.equal(flat[f"model/{name}"], tensor)
        for index, tensor in enumerate(ema):
            assert torch.equal(flat[f"ema/{index}"], tensor)
        moments = rule.state_dict()["state"][0]
        assert torch.equal(flat["optimizer/state/0/exp_avg"], moments["exp_avg"])
        assert flat["optimizer/param_groups/0/betas/1"].item() == 0.999
        assert flat["n"].item() == 7
        assert flat["n"].dtype == torch.int64
        assert flat["parameter"].tolist() == [1, 1]
        assert not any(tensor.requires_grad for tensor in flat.values())


def test_config_objects_become_records(tmp_path, foreign_module):
    config = foreign_module.Config()
    config.values = {"size": 3}
    content = {
        "args": argparse.Namespace(lr=0.1, path=Path("data")),
        "hyper_parameters": config,
        "callbacks": {foreign_module.Config: {"best": 1.0}},
        "listing": foreign_module.Listing([1, 2]),
        "mapping": foreign_module.Mapping(a=1),
        "counts": collections.defaultdict(list, a=[1]),
        "function": os.getcwd,
        "weights": {"a": torch.arange(3.0)},
    }
    torch.save(content, tmp_path / "x.ckpt")
    del sys.modules["someone_elses"]
    loaded = read_pickle(tmp_path / "x.ckpt")
    assert "someone_elses" not in sys.modules
    assert isinstance(loaded["args"], Record)
    assert loaded["args"].path == "argparse.Namespace"
    assert loaded["args"].state["lr"] == 0.1
    assert loaded["args"].state["path"].args == ("data",)
    assert repr(loaded["hyper_parameters"]) == "<someone_elses.Config, not built>"
    assert loaded["hyper_parameters"].state == {"values": {"size": 3}}
    assert loaded["listing"].items == [1, 2]
    assert loaded["mapping"].items == [("a", 1)]
    assert [*flat_tensors(loaded)] == ["weights/a"]


NAMES = [*attacks(Path("x"))]


def quietly(function, *arguments):
    """The result, or None for the one error that is allowed."""
    with contextlib.suppress(ValueError):
        return function(*arguments)


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

    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        torch.jit.script(Network()).save(tmp_path / "x.pt")
    assert flat_tensors(quietly(read_pickle, tmp_path / "x.pt")) == {}


def test_environment_cannot_switch_the_protection_off(tmp_path):
    path = archive(tmp_path / "x.pt", attacks(tmp_path / "touched")["builtins.eval"])
    code = f"from full_scale.convert.unpickle import read_pickle; read_pickle({str(path)!r})"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "touched").exists()


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


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.arange(50.0), "b": [torch.ones(3), argparse.Namespace(x=1)]}, path)
    return path


@pytest.mark.parametrize("part", range(12))
def test_truncated_file(part, good_file):
    os.truncate(good_file, good_file.stat().st_size * part // 12)
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        read_pickle(good_file)


def test_altered_byte(good_file):
    """Either it is noticed, or it was a byte that says nothing, in the padding for example."""
    content = good_file.read_bytes()
    original = flat_tensors(read_pickle(good_file))
    noticed = 0
    for place in range(len(content)):
        good_file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        try:
            loaded = flat_tensors(read_pickle(good_file))
        except ValueError:
            noticed += 1
        else:
            assert loaded.keys() == original.keys(), place
            assert all(torch.equal(loaded[name], original[name]) for name in loaded), place
    assert noticed > 200 + 12  # the bytes of the tensors alone


def test_compressed_file_is_refused(good_file, tmp_path):
    with (
        zipfile.ZipFile(good_file) as old,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match="is compressed"):
        read_pickle(tmp_path / "y.pt")


def test_pickle_that_unfolds_without_end(tmp_path):
    doubled = (
        HEAD
        + b"]q\x00"
        + b"".join(b"](h" + bytes([i, 104, i]) + b"eq" + bytes([i + 1]) for i in range(60))
    )
    inside_itself = HEAD + b"]q\x00h\x00a."
    for body, message in ((doubled + b".", "1000000 entries"), (inside_itself, "too deeply")):
        content = read_pickle(archive(tmp_path / "x.pt", body))
        with pytest.raises(ValueError, match=message):
            flat_tensors(content)


@given(st.binary(max_size=60))
def test_any_bytes_give_content_or_one_error(tmp_path_factory, body):
    path = archive(tmp_path_factory.mktemp("file") / "x.pt", HEAD + body + b".")
    content = quietly(read_pickle, path)
    assert flat_tensors(content).keys() == quietly(flat_tensors, content).keys()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x05\x06" + bytes(18)])
def test_file_of_another_kind(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    assert_refused(lambda: read_pickle(tmp_path / "x.pt"), "not a whole checkpoint")
    with pytest.raises(FileNotFoundError, match="no file"):
        read_pickle(tmp_path / "y.pt")


def test_old_file_of_tensors(tmp_path):
    torch.save({"a": torch.arange(3)}, tmp_path / "x.pt", _use_new_zipfile_serialization=False)
    assert flat_tensors(read_pickle(tmp_path / "x.pt"))["a"].tolist() == [0, 1, 2]


def test_big_endian_file(tmp_path, good_file):
    with zipfile.ZipFile(tmp_path / "y.pt", "w") as file:
        file.writestr("y/data.pkl", HEAD + b"}.")
        file.writestr("y/byteorder", b"big")
    with pytest.raises(ValueError, match="big-endian"):
        with_strict_reader(tmp_path / "y.pt")


@pytest.mark.parametrize("tensor", [torch.eye(3).to_sparse(), torch.ones(2, device="meta")])
def test_tensor_without_plain_data(tensor):
    with pytest.raises(ValueError, match="a/0 is no dense tensor with data"):
        flat_tensors({"a": [tensor]})


def test_two_places_of_one_name():
    with pytest.raises(ValueError, match="two tensors are called 'a/b'"):
        flat_tensors({"a/b": torch.ones(1), "a": {"b": torch.ones(1)}})
