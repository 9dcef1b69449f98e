"""The pictures: drawn from records alone; a missing record names the command that makes it."""

import json
import math

import numpy as np
import pytest
from matplotlib import image
from matplotlib import pyplot as plt

from figures import (
    BrokenResult,
    ablation,
    figure1,
    load,
    miniatures,
    theorem1,
    theorem2,
)
from figures import __main__ as program
from figures.catalogue import FIGURES, of_module
from figures.evaluations import FILE as EVALUATIONS
from reporting import ROOT
from tests.helpers.miniature_record import miniature_record


def _panel(sampler, steps, components, tv, probs):
    names = ("sampler", "steps", "components", "tv", "probs")
    return dict(zip(names, (sampler, steps, components, tv, probs), strict=True))


def _pair(process, grid="uniform", limit=0.5, coefficient=None, bounds=True):
    rows = []
    for n in (4, 1, 2):  # rows of a record may have any order
        tv = 0.5 / n
        known = {"closed_form": tv, "lower_bound": tv / 2, "upper_bound": 2 * tv}
        rows.append(
            {"steps": n, "tv": tv, "n_tv": n * tv} | (known if bounds else dict.fromkeys(known))
        )
    return {
        "process": process,
        "theta": 0.5,
        "p0": [0.375, 0.125, 0.125, 0.375],
        "rate": None,
        "rates": None,
        "schedule": "linear",
        "horizon": 1.0,
        "grid": grid,
        "start": "q_T",
        "steps": [1, 2, 4],
        "quick": False,
        "seed": 0,
        "rows": rows,
        "limit": limit,
        "log_coefficient": coefficient,
    }


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


# These are too large to make up: they are drawn from the records of the clone.
RECORDED = (
    "theorem2_training.json",
    "leaderboard.json",
    "latent_batch.json",
    "ablation.json",
    "ablation_long.json",
    "ablation_two_steps.json",
    "components.json",
    "pictures.json",
    "digit_patches.json",
    "letter_windows.json",
)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    data, product = [[0.5, 0.25], [0.0, 0.25]], [[0.375, 0.375], [0.125, 0.125]]
    content = {
        "figure1.json": {
            "panels": [
                _panel("data", None, None, 0.0, data),
                _panel("product", 1, None, 0.25, product),
                _panel("product", 2, None, 0.125, product),
                _panel("mixture", 1, 8, 0.0625, data),
            ]
        },
        "miniatures.json": miniature_record(),
        "two_dim_log.json": _pair("ctmc", limit=None, coefficient=0.25, bounds=False),
        "two_dim_log_quadratic.json": _pair("ctmc", "quadratic", limit=None, bounds=False),
    }
    for process in ("masked", "uniform", "absorbing", "ctmc"):
        content[f"two_dim_tv_{process}.json"] = _pair(process)
    for name, result in content.items():
        (folder / name).write_text(json.dumps(result))
    for name in RECORDED:
        (folder / name).symlink_to(ROOT / "results" / name)
    return folder


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_beside_the_results(results, name, capsys):
    assert program.main(["--only", name, "--results", str(results), "--quick"]) == 0
    png, pdf = (results / "figures" / f"{name}{end}" for end in (".png", ".pdf"))
    assert sorted((results / "figures").iterdir()) == sorted([png, pdf])
    picture = image.imread(png)[..., :3]
    assert picture.std() > 0.01, "blank"
    assert picture.shape[1] <= program.QUICK_DPI * 11, "fine"
    assert pdf.read_bytes().startswith(b"%PDF")
    assert pdf.stat().st_size > 1000
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["digits", "mnist-tokens", "words"])
def test_every_miniature_is_drawn_from_images_or_words(results, name):
    fig = miniatures.draw(results, name)
    curves, *sheets = fig.axes
    assert [axes.get_ylabel() for axes in sheets[:2]] == ["calls", "calls"]
    labels = [text.get_text() for text in curves.get_legend().get_texts()]
    assert labels[0].startswith("real data: ")
    assert labels[1:] == [
        *("teacher", "student, no data", "student, then teacher", "student, with data"),
        *("data alone, no teacher", "product student", "published recipe"),
    ]
    assert [text.get_text() for text in curves.texts] == ["2.5x"] * 3
    lower = name != "words"
    assert curves.get_yscale() == ("log" if lower else "linear")
    shown = [label.get_text() for label in sheets[1].get_yticklabels()]
    assert shown == ["1", "2", "4", "8"]


def test_a_miniature_without_a_record_is_named(results):
    (results / "miniatures.json").write_text('{"miniatures": {}}')
    with pytest.raises(BrokenResult, match=r"miniatures.json has no miniature words"):
        miniatures.draw(results, "words")


def test_only_draws_the_named_pictures_in_the_given_folder(results, tmp_path):
    out = tmp_path / "elsewhere"
    where = ["--results", str(results), "--out", str(out)]
    assert program.main(["--only", "figure1", "table1", "--quick", *where]) == 0
    assert {path.stem for path in out.iterdir()} == {"figure1", "table1"}
    assert not (results / "figures").exists()


def test_missing_result_names_its_command_and_spares_the_other_figure(results, capsys, monkeypatch):
    both = {name: FIGURES[name] for name in ("theorem1", "figure1")}
    monkeypatch.setattr(program, "FIGURES", both)
    (results / "two_dim_log.json").unlink()
    assert program.main(["--results", str(results), "--quick"]) == 2
    drawn = {path.stem for path in (results / "figures").iterdir()}
    assert drawn == {"figure1"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "two_dim_log.json is missing; run: python toys/two_dim_tv.py" in line


def test_only_with_a_missing_result_draws_nothing(results, capsys):
    (results / "figure1.json").unlink()
    assert program.main(["--only", "figure1", "--results", str(results)]) == 2
    assert not (results / "figures").exists()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("run: python toys/figure1_laws.py --json results/figure1.json")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"panels": "\xff"}',
        b"[]",
        b"{}",
        b'{"panels": 3}',
        b'{"panels": []}',
        b'{"panels": [{"probs": [[1]]}]}',
        b'{"panels": [{"sampler": "data", "probs": [["x"]]}]}',
    ],
)
def test_broken_result_names_its_command_and_spares_the_other_figure(
    results, content, capsys, monkeypatch
):
    both = {name: FIGURES[name] for name in ("figure1", "table1")}
    monkeypatch.setattr(program, "FIGURES", both)
    (results / "figure1.json").write_bytes(content)
    assert program.main(["--results", str(results), "--quick"]) == 2
    assert {path.stem for path in (results / "figures").iterdir()} == {"table1"}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "figure1" in line
    assert line.endswith("again: python toys/figure1_laws.py --json results/figure1.json")


def test_of_several_results_the_broken_one_is_named_once(results, capsys, monkeypatch):
    same = {name: of_module(theorem1) for name in ("a", "b")}
    monkeypatch.setattr(program, "FIGURES", same)
    (results / "two_dim_log.json").write_text('{"rows": []}')
    assert program.main(["--results", str(results)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "two_dim_log.json has no log_coefficient; make it again: python toys/two" in line
    assert line.endswith("--json results/two_dim_log.json")


@pytest.mark.parametrize("content", ['{"experiment": "cifar10"}\n', '{"metrics": 3}\n', "[]\n{}\n"])
def test_broken_rows_of_evaluations_are_named(results, content, capsys):
    (results / EVALUATIONS).write_text(content)
    assert program.main(["--only", "table1", "--results", str(results)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert EVALUATIONS in line


def test_load_wants_the_keys(results):
    assert load(results, "figure1.json", "panels").keys() == {"panels"}
    with pytest.raises(BrokenResult, match=r"figure1\.json has no rows, limit"):
        load(results, "figure1.json", "rows", "panels", "limit")


@pytest.mark.parametrize("name", FIGURES)
def test_commands_write_the_file_they_are_named_for(name):
    for file, command in FIGURES[name].needs.items():
        assert command.endswith(f" --json results/{file}")


def test_heat_maps_run_the_first_coordinate_to_the_right(results):
    """Wide axis: state of the first coordinate, as `two_moons` documents."""
    fig = figure1.draw(results)
    data, *others = fig.axes[:4]
    np.testing.assert_array_equal(data.images[0].get_array(), [[0.5, 0.0], [0.25, 0.25]])
    assert data.images[0].origin == "lower"
    assert [axes.get_xlabel() for axes in others] == ["TV = 0.250", "TV = 0.125", "TV = 0.062"]
    assert len({axes.images[0].norm.vmax for axes in fig.axes[:4]}) == 1


def test_lines_show_the_rows_in_growing_order(results):
    fig = theorem1.draw(results)
    left, middle, right = fig.axes
    points = [line for line in left.lines if line.get_linestyle() == "None"]
    assert len(points) == 3
    for line in points:
        np.testing.assert_allclose(line.get_xydata(), [[1, 0.5], [2, 0.25], [4, 0.125]])
    limits = [line for line in middle.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in limits] == [0.5] * 3
    (slope,) = (line for line in right.lines if line.get_linestyle() == "--")
    # From log2 N = 0 to 2 a coefficient of 1/4 adds (1/4) ln 4, and the line ends in the last N TV.
    assert slope.get_ydata()[-1] == pytest.approx(0.5)
    assert slope.get_ydata()[-1] - slope.get_ydata()[0] == pytest.approx(math.log(4) / 4)


def _named(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_axes_and_lines_say_what_they_are(results):
    sides = theorem2.draw(results).axes[0]
    assert sides.get_ylabel() == "total variation, bounds"
    assert max(line.get_ydata().max() for line in sides.lines) > 1  # no total variation
    assert _named(ablation.draw(results).axes[0]) == ["exact teacher, N steps"]
    assert "square root" in FIGURES["pictures"].draw(results).get_supxlabel()


def test_no_legend_lies_on_the_curve_of_the_student(results):
    fig = theorem2.draw(results)
    fig.canvas.draw()
    data = fig.axes[1]
    legend = data.get_legend().get_window_extent()
    for line in data.lines:
        assert not legend.count_contains(data.transData.transform(line.get_xydata()))


@pytest.mark.parametrize("name", ["digit_patches", "letter_windows"])
def test_axes_of_tv_have_several_ticks(results, name):
    fig = FIGURES[name].draw(results)
    fig.canvas.draw()
    panels = [axes for axes in fig.axes if axes.get_ylabel() == "TV"]
    assert panels
    for axes in panels:
        low, high = axes.get_ylim()
        ticks = [
            label for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high
        ]
        assert len(ticks) >= 3
        assert {"0.1", "0.2", "0.5"} <= {label.get_text() for label in ticks}
