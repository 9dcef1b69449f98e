"""All files are written by one writer, and a full disk never costs an older file."""

import ast
import errno
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from full_scale.data.digits import NUM_VALUES
from full_scale.data.packed import Description, Rows, pack
from full_scale.evaluation import decoding, reference
from full_scale.evaluation.features import open_extractor
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.tensor_file import write_tensors
from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from reporting import append_row, read_rows, save_figure, write_json
from tests.helpers.full_disk import full_disk
from tests.project.test_style import is_test, name_of, sources
from toys import ablation
from toys.leaderboard import _write_csv

WRITERS = {
    "reporting/files.py": "the one that all others use",
    "reporting/records.py": "appends rows",
    "reporting/measure.py": "resets a counter of the kernel",
    "reporting/reproduce/stages.py": "receives what a program prints while it runs",
    "full_scale/data/packed.py": "appends rows, which count when they are recorded",
    "full_scale/evaluation/sample_folder.py": "fills rows, which count when they are marked",
}
"""Files that open other files for writing, and why."""

_PATH_METHODS = ("write_text", "write_bytes", "tofile", "savetxt", "to_parquet")
_FILE_METHODS = ("save", "savez", "savez_compressed", "savefig", "to_csv")
_OPEN_FILES = ("file", "content")  # what `write_whole` has opened, and a buffer in memory


def _writes(call: ast.Call) -> bool:
    """Whether a call writes a file by itself."""
    function, method = call.func, isinstance(call.func, ast.Attribute)
    name = function.attr if method else getattr(function, "id", "")
    if method and name in _PATH_METHODS:
        return True
    if method and name in _FILE_METHODS:
        return bool(call.args) and getattr(call.args[0], "id", None) not in _OPEN_FILES
    modes = [getattr(argument, "value", None) for argument in call.args]
    texts = [mode for mode in modes if isinstance(mode, str) and len(mode) < 4]
    return name == "open" and any({*mode} & {*"wax+"} for mode in texts)


def test_files_are_written_in_one_place():
    found = {
        name_of(path)
        for path in sources()
        if not is_test(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and _writes(node)
    }
    assert found == {*WRITERS}


@pytest.mark.parametrize(
    ("code", "writes"),
    [
        ("path.write_text(text)", True),
        ("open(path, 'w')", True),
        ("path.open('ab')", True),
        ("np.save(path, x)", True),
        ("table.to_csv(path)", True),
        ("image.save(path)", True),
        ("path.open()", False),
        ("path.open('rb')", False),
        ("np.save(file, x)", False),
        ("table.to_csv(index=False)", False),
        ("fig.savefig(content)", False),
        ("self.save()", False),
    ],
)
def test_the_test_tells_what_writes(code, writes):
    assert _writes(ast.parse(code).body[0].value) == writes


def _calls(function):
    """Line and name of each call in a function."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return [(c.lineno, getattr(c.func, "id", getattr(c.func, "attr", ""))) for c in found]


def _shows_first(source: str) -> bool | None:
    """Whether `main` prints before it writes a record; None if it writes none.

    It may print through a function of the same file.
    """
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)]
    calls = {function.name: _calls(function) for function in functions}
    written = [line for line, name in calls.get("main", ()) if name in _RECORDS]
    prints = {f for f in calls if any(name.startswith("print") for _, name in calls[f])}
    shown = [
        line for line, name in calls.get("main", ()) if name.startswith("print") or name in prints
    ]
    return min(shown, default=math.inf) < min(written) if written else None


_RECORDS = ("write_json", "append_row", "write_record")
_LATER = {
    "toys/ablation.py": "writes after each run, and prints all runs where that fails",
    "full_scale/miniatures/classifier.py": "makes a model, whose record has its hash",
    "full_scale/miniatures/codes.py": "makes a code book, whose record has its hash",
}
"""Programs that print after they have written, and why."""


def test_what_was_measured_is_printed_before_it_is_written():
    """A full disk then costs no number."""
    shows = {
        name_of(path): found
        for path in sources()
        if not is_test(path) and (found := _shows_first(path.read_text("utf-8"))) is not None
    }
    assert len(shows) > 15
    assert {name for name, found in shows.items() if not found} <= {*_LATER}


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("print(x)\n    write_json(p, x)", True),
        ("_show(x)\n    append_row(p, x)", True),
        ("write_json(p, x)\n    print(x)", False),
        ("write_json(p, x)", False),
        ("print(x)", None),
    ],
)
def test_the_test_tells_what_is_printed_first(code, first):
    assert _shows_first(f"def _show(x):\n    print(x)\ndef main():\n    {code}") == first


def test_runs_that_cannot_be_written_are_printed(monkeypatch, capsys):
    monkeypatch.setattr(ablation, "ONE_STEP", ablation.ONE_STEP[:1])
    with pytest.raises(OSError, match="/dev/full"):
        ablation.main(["--quick", "--json", "/dev/full"])
    assert ablation.ONE_STEP[0].name in capsys.readouterr().out


def _figure(path, content):
    fig, axes = plt.subplots()
    axes.set_title(content)
    save_figure(fig, path)


def _reference(path, content):
    """Statistics of real pictures, which take a while: they must not be cut either."""
    extractor = open_extractor("pixels", "cpu")

    def look(pictures):
        return pictures // (2 if content == "new" else 1)

    reference.open_reference("digits", "pixels", extractor, look, 8, save=path)


def _sheet(path, content):
    pixels = {"kind": "pixels", "shape": [1, 2, 2], "levels": 17}
    decoding.show(np.full((3, 4), len(content) if content == "old" else 0), pixels, path)


def _texts(path, content):
    decoding.show(np.zeros((3, 4)), {"kind": "text", "alphabet": content}, path)


OUTPUTS = {
    "json.json": lambda path, content: write_json(path, {"a": content}),
    "picture.png": _figure,
    "picture.pdf": _figure,
    "weights.safetensors": lambda path, content: write_tensors(path, {"w": torch.ones(9)}, content),
    "rows.csv": lambda path, content: _write_csv(path, [{"task": content, "kl": 0.5}]),
    "reference.npz": _reference,
    "sheet.png": _sheet,
    "texts.jsonl": _texts,
}
"""How each kind of output is written whole."""


@pytest.mark.usefixtures("capsys")  # what is printed goes to no file
@pytest.mark.parametrize("name", OUTPUTS)
def test_a_full_disk_keeps_the_older_file(tmp_path, name):
    path = tmp_path / name
    OUTPUTS[name](path, "old")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert path.name in before
    with full_disk(), pytest.raises(OSError, match=r"File too large: '.*'") as caught:
        OUTPUTS[name](path, "new")
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename in {str(tmp_path / p) for p in before}
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    OUTPUTS[name](path, "new")
    assert path.read_bytes() != before[name]


def test_a_full_disk_keeps_the_earlier_checkpoint(tmp_path):
    state = {"w": torch.ones(5000)}
    save_checkpoint(tmp_path, 1, state, {}, keep=1)
    before = sorted(tmp_path.iterdir())
    for kept in (0, 50, 3000, 20_000):
        with full_disk(kept), pytest.raises(OSError, match=r"step_00000002\.pt"):
            save_checkpoint(tmp_path, 2, state, {}, keep=1)
        assert sorted(tmp_path.iterdir()) == before
    assert load_checkpoint(latest_checkpoint(tmp_path)).step == 1
    save_checkpoint(tmp_path, 2, state, {}, keep=1)
    assert load_checkpoint(latest_checkpoint(tmp_path)).step == 2


def test_a_full_disk_keeps_the_earlier_rows(tmp_path):
    path = tmp_path / "log.jsonl"
    append_row(path, {"step": 1})
    with full_disk(20), pytest.raises(OSError, match=r"log\.jsonl"):
        append_row(path, {"step": 2, "text": "long enough"})
    assert path.read_bytes() == b'{"step": 1}\n'
    append_row(path, {"step": 2})
    assert read_rows(path) == [{"step": 1}, {"step": 2}]


def test_data_go_on_where_the_disk_was_full(tmp_path):
    rows = [Rows(np.full((1000, 2), n), None, n) for n in range(3)]
    about = Description(2, NUM_VALUES, None, {"made": "for a test"})

    def source(cursor):
        return iter(rows[0 if cursor is None else cursor + 1 :])

    with full_disk(3000), pytest.raises(OSError, match=r"x_0\.bin"):
        pack(tmp_path, about, source)
    packed = pack(tmp_path, about, source)
    np.testing.assert_array_equal(packed.x_0, np.concatenate([part.x_0 for part in rows]))


def test_a_disk_that_cannot_hold_the_samples_is_found_out_at_once(tmp_path):
    with full_disk(4000), pytest.raises(OSError, match=r"samples\.npy"):
        SampleFolder.create(tmp_path, {}, 1000, 16, 256, {})
    assert not (tmp_path / "run.json").exists()


def test_a_disk_that_fills_later_costs_no_marked_sample(tmp_path):
    """A write through mapped memory would pass here, and kill the process on a full disk."""
    folder = SampleFolder.create(tmp_path, {}, 1000, 16, 256, {})
    samples = np.arange(16_000).reshape(1000, 16) % 256
    folder.write(range(10), samples[:10])
    with full_disk(4000), pytest.raises(OSError, match=r"samples\.npy"):
        folder.write(range(10, 1000), samples[10:])
    assert folder.num_done() == 10
    folder.write(range(10, 1000), samples[10:])
    np.testing.assert_array_equal(folder.samples(), samples)
