"""Every format that the project reads: an example of it, and the reader that users reach."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from full_scale.convert.__main__ import read_checkpoint
from full_scale.data.imagenet import picture
from full_scale.data.packed import Description, PackedTokens, Rows, pack
from full_scale.evaluation.features import pixel_features
from full_scale.evaluation.reference import open_reference
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.load import load_model
from full_scale.train import claim_folder
from full_scale.training.checkpoint import load_checkpoint, save_checkpoint
from full_scale.training.log import Logbook
from reporting import append_row, read_json, read_rows, write_json
from tests.helpers.tiny_models import DENOISERS, VQGAN, save_model
from tests.helpers.toy_cases import MEASURED_ROW
from toys.benchmark.cache import RowCache
from toys.benchmark.record import FoundLimit, MeasuredRow, read_record
from toys.tasks.registry import task_from_file


class Format(NamedTuple):
    """A format.

    Attributes:
        make: writes an example into a folder.
        files: names of its files that are damaged in turn.
        read: reads the example in a folder. Returns a digest of what was read.
        sealed: whether checksums show every change, so that only the same content is right.
    """

    make: Callable[[Path], object]
    files: tuple[str, ...]
    read: Callable[[Path], str]
    sealed: bool


SETTINGS = {
    "experiment": "other",
    "role": "teacher",
    "model": {"name": "data"},
    "plan": {"sampler": "none", "steps": 1, "teacher_steps": 0, "guidance": 0.0},
    "redraw": None,
    "seed": 0,
    "content": {"kind": "pixels", "shape": [3, 2, 2], "levels": 9},
}


def digest(*values: object) -> str:
    """SHA-256 of arrays, tensors and printable values."""
    state = hashlib.sha256()
    for value in values:
        if isinstance(value, torch.Tensor):
            value = value.detach().double().numpy()
        if isinstance(value, np.ndarray):
            state.update(f"{value.shape} {value.dtype}".encode() + value.tobytes())
        else:
            state.update(repr(value).encode())
    return state.hexdigest()


def _of_state(state: dict[str, torch.Tensor]) -> str:
    return digest(*(part for name in sorted(state) for part in (name, state[name])))


def _leaves(value: object) -> Iterator[object]:
    """All names and values of nested dictionaries."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _leaves(inner)
    else:
        yield value


def _rows(count: int = 6) -> np.ndarray:
    return np.arange(count * 12).reshape(count, 12) % 9


def _make_samples(folder: Path) -> None:
    SampleFolder.create(folder, SETTINGS, 6, 12, 9, {}).write(range(6), _rows())


def _read_samples(folder: Path) -> str:
    opened = SampleFolder(folder)
    return digest(opened.settings, opened.samples())


def _make_packed(folder: Path) -> None:
    rows = Rows(_rows(), np.arange(6) % 5, 6)
    pack(folder, Description(12, 300, 5, {"data": "test"}), lambda _: iter([rows]))


def _read_packed(folder: Path) -> str:
    data = PackedTokens(folder)
    return digest(*(value for i in range(len(data)) for value in data[i].values()))


def _make_reference(folder: Path) -> None:
    np.savez(folder / "real.npz", mu=np.full(12, 0.5), sigma=np.eye(12), features="pixels")


def _read_reference(folder: Path) -> str:
    found = open_reference(str(folder / "real.npz"), "pixels", pixel_features, lambda x: x, 2)
    return digest(found.mean, found.covariance)


def _make_checkpoint(folder: Path) -> None:
    state = {"weights": {"a": torch.arange(6.0)}, "pending": {}}
    save_checkpoint(folder, 7, state, {"run": {"steps": 9}}, {"command": "test"})


def _read_checkpoint(folder: Path) -> str:
    found = load_checkpoint(folder / "step_00000007.pt")
    return digest(found.step, *_leaves(found.state), found.config)


def _make_log(folder: Path) -> None:
    for step in (2, 4, 6):
        append_row(folder / "log.jsonl", {"step": step, "loss": 1 / step})


def _read_log(folder: Path) -> str:
    Logbook(folder).resume(4, {})
    return digest((folder / "log.jsonl").read_bytes() if (folder / "log.jsonl").exists() else b"")


def _make_run(folder: Path) -> None:
    claim_folder(folder, {"recipe": "x"}, {"steps": 3}, 0)
    (folder / "checkpoints").mkdir()


def _read_run(folder: Path) -> str:
    claim_folder(folder, {"recipe": "x"}, {"steps": 3}, 0)
    return digest(read_json(folder / "run.json")["identity"])


def _read_model(folder: Path) -> str:
    model = load_model(folder / "model.safetensors")
    return digest(model.config, _of_state(model.backbone.state_dict()))


def _make_published(folder: Path) -> None:
    state = {"a": torch.arange(6.0), "b": torch.ones(2, 3, dtype=torch.int32)}
    torch.save({"model": state, "step": 7}, folder / "published.pt")


def _read_published(folder: Path) -> str:
    return _of_state(read_checkpoint(folder / "published.pt"))


def _make_law(folder: Path) -> None:
    np.save(folder / "law.npy", np.full((3, 3), 1 / 9))


def _make_record(folder: Path) -> None:
    limits = [{"task": "pair", "process": "masked", "n_tv": 0.5}]
    write_json(folder / "record.json", {"manifest": {}, "rows": [MEASURED_ROW], "limits": limits})


def _make_cache(folder: Path) -> None:
    for key, row in (("a", MEASURED_ROW), ("b", {"limit": 0.5})):
        append_row(folder / "cache.jsonl", {"key": key, "rows": [row]})


def _read_cache(folder: Path) -> str:
    cache = RowCache(folder / "cache.jsonl")
    return digest(cache.get("a", MeasuredRow), cache.get("b", FoundLimit))


def _make_picture(folder: Path) -> None:
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(folder / "x.png")


def _model(config: object) -> Format:
    def make(folder: Path) -> None:
        save_model(folder / "model.safetensors", config)

    return Format(make, ("model.safetensors",), _read_model, True)


FORMATS = {
    "samples": Format(
        _make_samples,
        ("run.json", "samples.npy", "done.npy", "samples.npy.sha256"),
        _read_samples,
        False,
    ),
    "packed tokens": Format(
        _make_packed, ("header.json", "x_0.bin", "label.bin"), _read_packed, False
    ),
    "reference statistics": Format(_make_reference, ("real.npz",), _read_reference, False),
    "checkpoint": Format(
        _make_checkpoint,
        ("step_00000007.pt", "step_00000007.pt.sha256"),
        _read_checkpoint,
        True,
    ),
    "log of a run": Format(_make_log, ("log.jsonl",), _read_log, False),
    "record of a run": Format(_make_run, ("run.json",), _read_run, False),
    **{f"model of a {name}": _model(c) for name, c in (*DENOISERS.items(), ("vqgan", VQGAN))},
    "published checkpoint": Format(_make_published, ("published.pt",), _read_published, False),
    "law": Format(
        _make_law,
        ("law.npy",),
        lambda folder: digest(task_from_file(folder / "law.npy").law()),
        False,
    ),
    "record of the benchmark": Format(
        _make_record,
        ("record.json",),
        lambda folder: digest(read_record(folder / "record.json")),
        False,
    ),
    "cache of the benchmark": Format(_make_cache, ("cache.jsonl",), _read_cache, False),
    "rows of evaluations": Format(
        _make_log, ("log.jsonl",), lambda folder: digest(read_rows(folder / "log.jsonl")), False
    ),
    "picture": Format(
        _make_picture, ("x.png",), lambda folder: digest(picture(folder / "x.png", 8)), False
    ),
}
"""All formats by name."""
