"""Files of torch.save: the saved tensors are read, and files that are not whole are refused."""

import argparse
import collections
import os
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from full_scale.convert import unpickle
from full_scale.convert.unpickle import Record, flat_tensors, read_pickle
from tests.helpers.hostile_pickles import HEAD, with_strict_reader
from tests.helpers.refusals import assert_refused

DTYPES = list(unpickle._STORAGES.values())


@pytest.fixture
def foreign_module():
    """A module that exists when the file is saved, and no longer when it is read."""
    module = types.ModuleType("someone_elses")
    for name, base in (("Config", object), ("Listing", list), ("Mapping", dict)):
        setattr(module, name, type(name, (base,), {"__module__": module.__name__}))
    sys.modules[module.__name__] = module
    yield module
    sys.modules.pop(module.__name__, None)


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


@pytest.fixture
def good_file(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"a": torch.arange(10.0), "b": [torch.ones(3), argparse.Namespace(x=1)]}, path)
    return path


@pytest.mark.parametrize("part", range(12))
def test_truncated_file(part, good_file):
    os.truncate(good_file, good_file.stat().st_size * part // 12)
    with pytest.raises(ValueError, match="not a whole checkpoint"):
        read_pickle(good_file)


def test_altered_byte(good_file):
    """The reader refuses the file, or the byte has no meaning, as in the padding."""
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
    assert noticed > 40 + 12  # the bytes of the tensors


def test_compressed_file_is_refused(good_file, tmp_path):
    with (
        zipfile.ZipFile(good_file) as old,
        zipfile.ZipFile(tmp_path / "y.pt", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(ValueError, match="is compressed"):
        read_pickle(tmp_path / "y.pt")


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
    with pytest.raises(ValueError, match="a/0 is not a dense tensor with data"):
        flat_tensors({"a": [tensor]})


def test_two_places_of_one_name():
    with pytest.raises(ValueError, match="two tensors are called 'a/b'"):
        flat_tensors({"a/b": torch.ones(1), "a": {"b": torch.ones(1)}})
