"""The command `python -m tests.hard_use`: what it records, also when it is stopped."""

import sys
from types import SimpleNamespace

import pytest

from reporting import ROOT, read_json, write_json
from tests.hard_use import __main__ as program
from tests.hard_use import fuzz, mutation
from tests.hard_use.equivalent import EQUIVALENT, SIZES, reason_of
from tests.hard_use.formats import FORMATS, Format
from tests.hard_use.kills import differing
from tests.hard_use.mutation import change, verdicts
from tests.hard_use.orders import one_run


def _part(monkeypatch, steps):
    """Replace every part by one that takes these steps: figures to yield, or an error to raise."""

    def run(seed, share):
        for step in steps:
            if isinstance(step, BaseException):
                raise step
            yield step | {"share": share}

    monkeypatch.setattr(program, "import_module", lambda name: SimpleNamespace(run=run))


def test_a_stopped_run_leaves_what_was_done(tmp_path, monkeypatch):
    record = tmp_path / "record.json"
    write_json(record, {"files": {"mutants": 9}})
    steps = [{"kills": 1, "failures": []}, {"kills": 2, "failures": []}, KeyboardInterrupt()]
    _part(monkeypatch, steps)
    with pytest.raises(KeyboardInterrupt):
        program.main(["kills", "--share", "0.5", "--json", str(record)])
    found = read_json(record)
    assert found["files"] == {"mutants": 9}
    assert (found["kills"]["kills"], found["kills"]["share"]) == (2, 0.5)
    assert [made["seed"] for made in found["kills"]["manifests"]] == [0]
    assert found["kills"]["manifests"][0]["code"]["sha"]


def test_another_day_adds_to_the_record(tmp_path, monkeypatch):
    record = str(tmp_path / "record.json")
    _part(monkeypatch, [{"runs": 1, "kills": {"train": 3, "sample": 1}, "failures": ["one"]}])
    program.main(["kills", "--json", record])
    steps = [{"runs": 1, "failures": []}, {"runs": 2, "kills": {"train": 4}, "failures": ["two"]}]
    _part(monkeypatch, steps)
    program.main(["kills", "--add", "--seed", "7", "--json", record])
    found = read_json(tmp_path / "record.json")["kills"]
    assert (found["runs"], found["kills"]) == (3, {"train": 7, "sample": 1})
    assert found["failures"] == ["one", "two"]
    assert [made["seed"] for made in found["manifests"]] == [0, 7]
    for wrong, said in (
        (["kills", "--add", "--seed", "7", "--json", record], "kills of seed 7 is in"),
        (["kills", "--add"], "--add needs the record"),
        (["files", "--add", "--json", record], "files is the same each time"),
    ):
        with pytest.raises(ValueError, match=said):
            program.main(wrong)


@pytest.mark.parametrize("failures", [[], ["a file was cut"]])
def test_the_status_says_whether_something_failed(monkeypatch, capsys, failures):
    _part(monkeypatch, [{"failures": failures}])
    assert program.main(["kills", "calls"]) == bool(failures)
    assert capsys.readouterr().out.count("failures") == 2


@pytest.mark.parametrize("share", ["0", "1.1", "nan"])
def test_a_wrong_share_is_refused(share):
    with pytest.raises(ValueError, match="share must lie in"):
        program.main(["kills", "--share", share])


def test_what_differs_is_named():
    assert differing({"a": 1, "b": 2}, {"b": 3, "a": 1, "c": 4}) == "b, c"
    assert "as one" in differing(b"x", b"y")


def test_a_run_in_another_order_says_what_failed(tmp_path):
    path = tmp_path / "test_two.py"
    path.write_text(
        "import os\n"
        "def test_seed(): assert os.environ['PYTHONHASHSEED'] == '7'\n"
        "def test_wrong(): assert False\n"
    )
    options = ["-n0", "-p", "no:cacheprovider", str(path)]
    passed, failures = one_run(7, options)
    assert passed == 1
    assert len(failures) == 1
    assert "test_wrong" in failures[0]
    assert failures[0].endswith("(order 7)")
    assert one_run(7, [*options, "--no-such-option"])[1][0].startswith("status 4: ")


def test_mutants_are_killed_by_the_tests_that_call_them(tmp_path):
    """A change is found in a function, in a constant, and in what a test file makes at import."""
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    source = (
        "MOST = 3\ndef small(x): return x < MOST if x > 0 else True\ndef twice(x): return 2 * x\n"
    )
    (tmp_path / "tiny.py").write_text(source)
    (tmp_path / "test_tiny.py").write_text(
        "from tiny import small, twice\n"
        "EIGHT = twice(4)\n"
        "def test_small(): assert small(2) and not small(3)\n"
        "def test_twice(): assert twice(0) == 0 and EIGHT == 8\n"
    )
    changes = (("<", "<="), ("= 3", "= 4"), ("2 * x", "3 * x"), ("> 0", "> 1"))
    mutants = [("tiny.py", source.replace(*pair)) for pair in changes]
    assert [*verdicts(tmp_path, (".",), mutants)] == ["killed"] * 3 + ["survived"]
    assert (tmp_path / "tiny.py").read_text() == source


def test_a_survivor_is_told_by_the_lines_that_differ():
    assert change("a\n  b + 1\nc\n", "a\n  b - 1\nc\n") == ("2", "b + 1", "b - 1")
    assert change("a\n@b\nc\n", "a\nc\n") == ("2", "@b", "")
    assert change("a\n\n  @b\nc\n", "a\n  \nc\n")[1:] == ("@b", "")  # an empty line is no text


def test_the_tables_of_mutants_that_change_nothing_know_the_code():
    def lines(file):
        return [text.strip() for text in (ROOT / file).read_text("utf-8").splitlines()]

    for file, line, mutant in EQUIVALENT:
        assert line in lines(file), f"{file}: {line}"
        assert mutant != line
        assert reason_of(file, line, mutant)
        assert reason_of(file, line, "other") is None
    for file, words in SIZES:
        assert any(line.startswith(words) for line in lines(file)), f"{file}: {words}"
        assert reason_of(file, f"{words}8", f"{words}9")


def test_survivors_are_judged_again_by_the_present_reasons(tmp_path):
    known, unknown = list(next(iter(EQUIVALENT))), ["a.py", "x = 1", "x = 2"]
    record = {"mutation": {"survivors": [known, unknown], "failures": []}, "files": {"mutants": 9}}
    write_json(tmp_path / "record.json", record)
    mutation.main(tmp_path / "record.json")
    found = read_json(tmp_path / "record.json")
    assert found["mutation"]["failures"] == ["a.py: x = 1 -> x = 2"]
    assert found["files"] == {"mutants": 9}


def test_a_fuzzed_file_is_judged_behind_its_checksum(tmp_path):
    """The checkpoint is cut, and its new checksum is right: the archive itself must be refused."""
    verdict = fuzz.trial("checkpoint", "step_00000007.pt", tmp_path)
    whole = (tmp_path / "whole" / "step_00000007.pt").read_bytes()
    assert verdict(whole).kind == "other"  # there is nothing to compare with
    found = verdict(whole[:-100])
    assert found.kind == "refused"
    assert "SHA-256" not in found.detail


def test_a_fuzzed_reader_that_fails_is_told(tmp_path, monkeypatch):
    def make(folder):
        (folder / "x").write_bytes(b"good")

    reader = Format(
        make, ("x",), lambda folder: {b"good": "read"}[(folder / "x").read_bytes()], False
    )
    monkeypatch.setitem(FORMATS, "keys", reader)
    verdict = fuzz.trial("keys", "x", tmp_path)
    assert [verdict(content).kind for content in (b"good", b"bad")] == ["other", "traceback"]


def test_fuzzing_needs_a_package(monkeypatch):
    monkeypatch.setattr(fuzz, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install atheris"):
        program.main(["fuzz"])


def test_mutants_need_a_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cosmic_ray", None)
    with pytest.raises(ValueError, match="install it: pip install cosmic-ray"):
        program.main(["mutation"])
