"""What scripts show: command lines and pictures."""

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest

import reporting

SCRIPT = '''"""What it shows.

    keeps   its lines

Python 3.13 takes away what all lines have in common.
"""
import sys
from reporting import run_script, script_parser
def main():
    parser = script_parser(__doc__)
    parser.add_argument("--rate", type=float, default=0.5, help="flip rate")
    args = parser.parse_args()
    if args.rate < 0:
        raise ValueError(f"rate must not be\\n  negative; got {args.rate}")
    if args.rate == 1:
        raise KeyboardInterrupt
    if args.rate == 2:
        raise RuntimeError("ours")
    if args.rate == 3:
        open("no such file")
    if args.rate == 5:
        open("x" * 300)
    if args.rate == 6:
        raise OSError(28, "No space left on device")
    if args.rate == 7:
        raise OSError("of a library")
    print(args.rate, args.seed, args.json, args.figure, args.quick)
    return int(args.rate == 4)
run_script(main)
'''


class TestScripts:
    @pytest.fixture
    def run(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)

        def run(*arguments, flags=()):
            command = [sys.executable, *flags, str(script), *arguments]
            return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

        return run

    def test_common_options(self, run):
        result = run("--json", "a.json", "--figure", "b", "--quick", "--seed", "3")
        assert (result.returncode, result.stdout) == (0, "0.5 3 a.json b True\n")

    def test_help_keeps_lines_and_shows_defaults(self, run):
        text = run("--help").stdout
        assert "    keeps   its lines\n" in text
        assert "flip rate (default: 0.5)" in text
        assert "None" not in text
        assert "False" not in text

    def test_bad_value_is_one_line(self, run):
        result = run("--rate", "-1")
        assert result.returncode == 2
        assert result.stderr == "error: rate must not be negative; got -1.0\n"
        assert result.stdout == ""

    def test_bad_option_is_one_line(self, run):
        result = run("--rate", "x")
        assert result.returncode == 2
        assert result.stderr == "error: argument --rate: invalid float value: 'x'; see --help\n"

    def test_options_are_not_guessed(self, run):
        assert run("--rat", "1").returncode == 2

    @pytest.mark.parametrize(
        ("rate", "message"),
        [("3", "no such file"), ("5", "File name too long"), ("6", "No space left on device")],
    )
    def test_what_the_system_says_is_one_line(self, run, rate, message):
        result = run("--rate", rate)
        assert result.returncode == 2
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        ("option", "path", "message"),
        [
            ("--json", ".", "Is a directory"),
            ("--json", "script.py/x.json", "Not a directory"),
            ("--json", "x" * 300, "File name too long"),
            ("--json", "loop", "symbolic links"),
            ("--json", "new/", "must name a file; got the folder 'new/'"),
            ("--figure", "new/", "must name a file; got the folder 'new/'"),
            ("--figure", "script.py/x", "Not a directory"),
            ("--figure", "x" * 253, "File name too long"),  # with its ending
            ("--figure", "x.svg", "pictures are PNG and PDF"),
            ("--figure", "", "must not be empty"),
            ("--json", "", "must not be empty"),
        ],
    )
    def test_unusable_path_is_one_line_before_any_work(self, run, tmp_path, option, path, message):
        (tmp_path / "loop").symlink_to("loop")
        result = run(option, path)
        assert result.returncode == 2
        assert result.stderr.startswith(f"error: argument {option}: ")
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        assert result.stdout == ""

    @pytest.mark.parametrize("program", ["figures", "reporting"])
    @pytest.mark.parametrize("name", ["", "absent", "script.py", "loop", "pipe", "x" * 300])
    def test_what_is_no_folder_is_one_line_before_any_work(self, tmp_path, capsys, program, name):
        (tmp_path / "script.py").touch()
        (tmp_path / "loop").symlink_to("loop")
        os.mkfifo(tmp_path / "pipe")
        main = importlib.import_module(f"{program}.__main__").main
        with pytest.raises(SystemExit) as stop:
            main(["--results", name and str(tmp_path / name)])
        assert stop.value.code == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("error: argument --results: must ")

    def test_interrupt(self, run):
        assert run("--rate", "1").returncode == 130

    def test_our_own_errors_keep_their_traceback(self, run):
        for rate in ("2", "7"):
            result = run("--rate", rate)
            assert result.returncode == 1
            assert "Traceback" in result.stderr

    def test_development_mode_shows_where_a_bad_value_was_found(self, run):
        result = run("--rate", "-1", flags=["-X", "dev"])
        assert result.returncode == 1
        assert "Traceback" in result.stderr

    def test_status_of_main(self, run):
        assert run("--rate", "4").returncode == 1


class TestPictures:
    @pytest.fixture
    def figure(self):
        import matplotlib.pyplot as plt

        reporting.use_style()

        def figure():
            fig, ax = plt.subplots()
            ax.plot([1, 2, 4], [0.5, 0.25, 0.125], label="TV")
            ax.set(xlabel="$N$", title="text")
            ax.legend()
            return fig

        yield figure
        plt.close("all")

    @pytest.mark.parametrize("name", ["new/tv", "new/tv.png", "new/tv.pdf"])
    def test_writes_both_formats_and_closes(self, tmp_path, figure, name):
        import matplotlib.pyplot as plt

        picture = figure()
        paths = reporting.save_figure(picture, tmp_path / name)
        assert paths == [tmp_path / "new" / "tv.png", tmp_path / "new" / "tv.pdf"]
        assert paths[0].read_bytes().startswith(b"\x89PNG")
        assert paths[1].read_bytes().startswith(b"%PDF")
        assert not plt.fignum_exists(picture.number)

    def test_keeps_a_dot_that_is_no_suffix(self, tmp_path, figure):
        assert reporting.save_figure(figure(), tmp_path / "theta0.5")[0].name == "theta0.5.png"

    def test_refuses_other_formats(self, tmp_path, figure):
        with pytest.raises(ValueError, match=r"\.svg"):
            reporting.save_figure(figure(), tmp_path / "tv.svg")

    def test_links_stay_links(self, tmp_path, figure):
        (tmp_path / "tv.png").symlink_to("kept.png")
        reporting.save_figure(figure(), tmp_path / "tv")
        assert (tmp_path / "tv.png").is_symlink()
        assert (tmp_path / "kept.png").read_bytes().startswith(b"\x89PNG")

    def test_a_failed_write_leaves_the_old_picture_alone(self, tmp_path, figure, monkeypatch):
        (tmp_path / "tv.png").write_text("old")

        def full_disk(_):
            raise OSError("no space left")

        monkeypatch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="no space"):
            reporting.save_figure(figure(), tmp_path / "tv")
        assert (tmp_path / "tv.png").read_text() == "old"
        assert os.listdir(tmp_path) == ["tv.png"]

    def test_a_pipe_cannot_hold_two_pictures(self, tmp_path, figure):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="cannot hold two files"):
            reporting.save_figure(figure(), tmp_path / "pipe")
        assert os.listdir(tmp_path) == ["pipe"]

    def test_same_figure_same_bytes_and_embedded_fonts(self, tmp_path, figure):
        first = reporting.save_figure(figure(), tmp_path / "a")
        second = reporting.save_figure(figure(), tmp_path / "b")
        assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
        assert b"/FontFile2" in first[1].read_bytes()  # TrueType outlines
        assert b"CreationDate" not in first[1].read_bytes()

    def test_lines_differ_without_colour_and_take_the_palette(self):
        import matplotlib as mpl

        reporting.use_style()
        cycle = list(mpl.rcParams["axes.prop_cycle"])
        assert len({str(entry["linestyle"]) for entry in cycle}) == len(cycle)
        colours = [entry["color"] for entry in cycle]
        assert colours == list(reporting.PALETTE.values())[: len(cycle)]

    def test_neighbours_of_the_cycle_differ_in_lightness(self):
        def lightness(colour):  # CIE L* of an sRGB colour, 0 to 100
            parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
            linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
            return 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16

        levels = [lightness(colour) for colour in reporting.PALETTE.values()]
        assert min(np.abs(np.diff(levels))) > 8
