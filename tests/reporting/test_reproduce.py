"""`make reproduce`: what runs, which numbers are compared, how a failure shows."""

import itertools
import json
import shlex

import pytest

from figures.catalogue import FIGURES
from reporting.reproduce import __main__ as program
from reporting.reproduce.numbers import COMPARISONS, EQUAL, Number, Tolerance, compare
from reporting.reproduce.stages import DRAWN, MINIATURES, STAGES, Stage, run_stage, run_stages
from tests.helpers.miniature_record import miniature_record

COMMANDS = [shlex.split(command) for stage in STAGES for command in stage.commands]


def claim(name, group, cases=10, failed=0):
    return {
        "name": name,
        "group": group,
        "source": "Theorem 2",
        "statement": f"{name} <&> holds",
        "cases": cases,
        "failed": failed,
        "holds": not failed,
        "worst_deviation": 2e-16,
        "least_slack": None,
    }


@pytest.fixture
def folders(tmp_path):
    """A run that reproduces everything, and the records that it is compared with."""
    out, results = tmp_path / "out", tmp_path / "results"
    (results / "quick").mkdir(parents=True)
    out.mkdir()
    claims = {"claims": [claim("bound", "paper"), claim("sharp", "sharper"), claim("b", "beyond")]}
    points = [{"steps": n, "tv": 0.5 / n, "closed_form": 0.5 / n} for n in (1, 2, 4)]
    curve = {"process": "masked", "rows": points, "limit": 0.5}
    law = {"law": "3x3", "total_correlation": 1.25, "curves": [curve]}
    row = {"task": "pair", "process": "masked", "nfe": 1, "tv": 0.1}
    panel = {"sampler": "product", "steps": 1, "components": None, "tv": 0.25}
    records = {
        "theory.json": claims,
        "figure1.json": {"panels": [panel, panel | {"sampler": "mixture", "components": 8}]},
        "digit_patches.json": {"laws": [law]},
        "letter_windows.json": {"laws": [law]},
        "leaderboard.json": {
            "rows": [row | {"method": "teacher", "parameters": 0}]
            + [row | {"method": "di4c", "parameters": 5, "nfe": n} for n in (2, 1)]
        },
    }
    miniatures = miniature_record()["miniatures"]
    for name in MINIATURES:
        records[f"{name}.json"] = {"miniatures": {name: miniatures[name]}}
    (results / "miniatures.json").write_text(json.dumps({"miniatures": miniatures}))
    for comparison in COMPARISONS:
        text = json.dumps(records.get(comparison.file, curve))
        (out / comparison.file).write_text(text)
        (results / (comparison.recorded or comparison.file)).write_text(text)
    return out, results


def change(path, *keys, value):
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


class TestStages:
    def test_each_compared_record_is_written_by_one_command(self):
        written = [words[words.index("--json") + 1] for words in COMMANDS if "--json" in words]
        compared = [f"{{out}}/{comparison.file}" for comparison in COMPARISONS]
        assert sorted(written) == sorted(compared)

    def test_nothing_is_written_outside_the_folder(self):
        for words in COMMANDS:
            for option, value in itertools.pairwise(words):
                if option in ("--json", "--out", "--cache", "--results"):
                    assert value.startswith("{out}")

    def test_pictures_need_only_records_of_the_run(self):
        files = {comparison.file for comparison in COMPARISONS}
        assert all(FIGURES[name].needs.keys() <= files for name in DRAWN)

    def test_a_failed_command_ends_its_stage_and_keeps_what_it_said(self, tmp_path):
        code = "-c 'import sys; sys.exit(\"no luck\")'"
        never = '-c \'open("never", "w")\''
        outcome = run_stage(Stage("a", "A", 1, [f"{code} {{out}}/x.json", never]), tmp_path)
        assert "ended with status 1" in outcome.error
        log = (tmp_path / "logs" / "a.txt").read_text()
        assert f"{tmp_path}/x.json\n" in log
        assert "no luck" in log
        assert "never" not in log

    def test_two_run_at_a_time_and_the_last_one_alone(self, tmp_path):
        """Each of the first two waits for the file of the other; the last one finds both."""
        head = "import sys, pathlib, time; own, *others = map(pathlib.Path, sys.argv[1:])\n"
        meet = f"{head}own.touch(); end = time.monotonic() + 60\n"
        meet += "while not all(map(pathlib.Path.exists, others)): assert time.monotonic() < end"
        find = f"{head}assert all(map(pathlib.Path.exists, others))"
        commands = [
            shlex.join(["-c", meet, "{out}/a", "{out}/b"]),
            shlex.join(["-c", meet, "{out}/b", "{out}/a"]),
            shlex.join(["-c", find, "{out}", "{out}/a", "{out}/b"]),
        ]
        stages = [Stage(str(k), "", 1, [command]) for k, command in enumerate(commands)]
        begun, ended = [], []
        outcomes = run_stages(stages, tmp_path, lambda k, _: begun.append(k), ended.append)
        assert [(o.stage, o.error) for o in outcomes] == [(stage, None) for stage in stages]
        assert sorted(begun) == [1, 2, 3]
        assert ended[-1] == outcomes[-1]


class TestTolerance:
    @pytest.mark.parametrize(
        ("recorded", "found", "tolerance", "reproduced"),
        [
            (172, 172, EQUAL, True),
            (172, 171, EQUAL, False),
            (0.5, 0.5 + 4e-10, Tolerance(1e-9, 0.0), True),
            (0.5, 0.5 + 6e-10, Tolerance(1e-9, 0.0), False),
            (0.0, 1e-13, Tolerance(1e-9, 1e-12), True),
            (0.0, 2e-12, Tolerance(1e-9, 1e-12), False),
            (0.5, float("nan"), Tolerance(1.0, 1.0), False),
            (0.5, None, Tolerance(1.0, 1.0), False),
            (None, 0.5, Tolerance(1.0, 1.0), False),
        ],
    )
    def test_both_must_be_there_and_agree(self, recorded, found, tolerance, reproduced):
        assert Number("g", "n", recorded, found, tolerance).reproduced is reproduced

    def test_is_told_in_words(self):
        assert str(EQUAL) == "equal"
        assert str(Tolerance(0.25, 0.005)) == "within 25% or 0.005"
        assert str(Tolerance(0.0, 1e-12)) == "within 1e-12"


class TestCompare:
    def test_the_same_records_are_reproduced(self, folders):
        numbers, faults = compare(*folders)
        assert faults == []
        assert all(entry.reproduced for entry in numbers)
        names = {(entry.group, entry.name): entry.found for entry in numbers}
        assert names["Claims of the theory", "Theorem 2, bound: comparisons that hold"] == 10
        assert names["Claims of the theory", "Beyond the paper: claims that hold"] == 1
        assert names["Two coordinates, masked pair", "TV after 4 steps"] == 0.125
        assert names["Quick benchmark", "pair, di4c: TV after 1 step"] == 0.1
        assert ("Quick benchmark", "pair, di4c: TV after 2 steps") not in names

    @pytest.mark.parametrize(
        ("file", "keys", "value", "name"),
        [
            ("theory.json", ("claims", 0, "failed"), 1, "Theorem 2, bound: comparisons that hold"),
            ("theory.json", ("claims", 1, "holds"), False, "Sharper than the paper: claims"),
            ("figure1.json", ("panels", 0, "tv"), 0.25 + 1e-8, "TV of a product, 1 step"),
            ("two_dim_log.json", ("rows", 1, "closed_form"), 0.26, "largest distance of TV"),
            ("two_dim_log.json", ("limit",), None, "limit of N TV"),
            ("leaderboard.json", ("rows", 2, "tv"), 0.116, "pair, di4c: TV after 1 step"),
            ("words.json", ("miniatures", "words", "summary", 1, "mean"), 0.017, "words-teacher"),
            ("words.json", ("miniatures", "words", "summary", 0, "mean"), 0.99, "real data, data"),
        ],
    )
    def test_one_changed_number_is_found(self, folders, file, keys, value, name):
        change(folders[0] / file, *keys, value=value)
        numbers, faults = compare(*folders)
        assert faults == []
        (entry,) = [entry for entry in numbers if not entry.reproduced]
        assert entry.name.startswith(name)

    @pytest.mark.parametrize(("value", "wrong"), [(0.041, 0), (0.043, 1)])
    def test_a_student_may_differ_by_what_another_cpu_makes_of_it(self, folders, value, wrong):
        line, recorded = ("miniatures", "words", "summary", 1), folders[1] / "quick" / "words.json"
        for path, mean in ((folders[0] / "words.json", value), (recorded, 0.012)):
            change(path, *line, "model", value="student")
            change(path, *line, "mean", value=mean)
        numbers, _ = compare(*folders)
        assert sum(not entry.reproduced for entry in numbers) == wrong

    @pytest.mark.parametrize("content", [None, "{", "[]", '{"rows": 3}', '{"rows": [{}]}'])
    @pytest.mark.parametrize("side", [0, 1])
    def test_a_missing_or_broken_record_is_named_and_counts(self, folders, content, side):
        path = folders[side] / "two_dim_log.json"
        path.unlink() if content is None else path.write_text(content)
        numbers, (fault,) = compare(*folders)
        assert str(path) in fault
        assert (f"; to record this run: cp {folders[0] / path.name} {path}" in fault) == side
        missing = [entry for entry in numbers if not entry.reproduced]
        assert {entry.group for entry in missing} == {"A law with zeros, uniform grid"}

    def test_a_record_that_is_missing_on_both_sides_counts(self, folders):
        for folder in folders:
            (folder / "figure1.json").unlink()
        numbers, faults = compare(*folders)
        assert len(faults) == 2
        assert [entry.group for entry in numbers if not entry.reproduced] == ["Two moons"]


class TestProgram:
    @pytest.fixture
    def run(self, folders, tmp_path, monkeypatch, capsys):
        """Stages that copy the records of `folders`; the last one does what is asked."""
        made, results = folders
        copy = f'-c \'import shutil; shutil.copytree("{made}", "{{out}}", dirs_exist_ok=True)\''

        def run(last="-c pass"):
            stages = (Stage("copy", "copy the records", 3, [copy]), Stage("last", "end", 1, [last]))
            monkeypatch.setattr(program, "STAGES", stages)
            monkeypatch.setattr(program, "RESULTS", results)
            status = program.main(["--out", str(tmp_path / "reproduced")])
            return status, capsys.readouterr()

        return run

    def test_everything_reproduced(self, run, folders, tmp_path):
        before = {path: path.read_bytes() for path in folders[1].rglob("*.json")}
        status, (said, complained) = run()
        assert (status, complained) == (0, "")
        lines = said.splitlines()
        assert lines[:2] == ["1 of 3: copy the records (about 3 s)", "2 of 3: end (about 1 s)"]
        count = sum(line.endswith(" ok") for line in lines)
        assert f"{count} of {count} reproduced" in said
        written = json.loads((tmp_path / "reproduced" / "reproduced.json").read_text())
        assert [stage["error"] for stage in written["stages"]] == [None, None]
        assert len(written["numbers"]) == count
        page = (tmp_path / "reproduced" / "report.html").read_text("utf-8")
        assert f"{count} of {count} numbers reproduced" in page
        assert "Real share, higher is better" in page
        assert {path: path.read_bytes() for path in folders[1].rglob("*.json")} == before

    def test_a_failed_stage_hides_nothing_and_is_status_1(self, run, tmp_path):
        status, (said, _) = run("-c 'raise SystemExit(3)'")
        assert status == 1
        assert "  FAILED: python -c 'raise SystemExit(3)' ended with status 3; see " in said
        assert "1 of 2 stages failed" in said
        assert "NOT REPRODUCED" not in said
        page = (tmp_path / "reproduced" / "report.html").read_text("utf-8")
        assert "Failed: end" in page

    def test_a_changed_number_is_status_1(self, run, folders):
        change(folders[0] / "two_dim_tv_masked.json", "rows", 0, "tv", value=0.6)
        status, (said, _) = run()
        assert status == 1
        assert (
            "Two coordinates, masked pair; TV after 1 step: recorded 0.5, now 0.6 (within 1e-09 of "
            "it or 1e-12) NOT REPRODUCED" in said
        )

    def test_an_earlier_run_is_replaced(self, run, tmp_path):
        run()
        (tmp_path / "reproduced" / "old.json").touch()
        assert run()[0] == 0
        assert not (tmp_path / "reproduced" / "old.json").exists()

    def test_other_files_are_never_deleted(self, tmp_path):
        (tmp_path / "mine.txt").touch()
        with pytest.raises(ValueError, match=r"--out is .*, which holds other files; name a new"):
            program.main(["--out", str(tmp_path)])
        assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
