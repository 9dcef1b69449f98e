"""The figures: drawn from results alone; a missing result names the command that makes it."""

import json
import math
import shutil

import numpy as np
import pytest
from matplotlib import image

from figures import __main__ as program
from figures import figure1, load, theorem1
from reporting import ROOT
from tests.digits_result import digits_result


def _panel(sampler, steps, components, tv, probs):
    return {
        "sampler": sampler,
        "steps": steps,
        "components": components,
        "tv": tv,
        "probs": probs,
    }


def _pair(process, grid="uniform", limit=0.5, coefficient=None, bounds=True):
    rows = []
    for n in (4, 1, 2):  # no order is promised
        tv = 0.5 / n
        known = {"closed_form": tv, "lower_bound": tv / 2, "upper_bound": 2 * tv}
        rows.append(
            {"steps": n, "tv": tv, "n_tv": n * tv} | (known if bounds else dict.fromkeys(known))
        )
    return {
        "process": process,
        "grid": grid,
        "rows": rows,
        "limit": limit,
        "log_coefficient": coefficient,
    }


# Too rich to invent: drawn from the records of the clone.
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
        "digits.json": digits_result(),
        "two_dim_log.json": _pair("ctmc", limit=None, coefficient=0.25, bounds=False),
        "two_dim_log_quadratic.json": _pair("ctmc", "quadratic", limit=None, bounds=False),
    }
    for process in ("masked", "uniform", "absorbing"):
        content[f"two_dim_tv_{process}.json"] = _pair(process)
    for name, result in content.items():
        (folder / name).write_text(json.dumps(result))
    for name in RECORDED:
        shutil.copy(ROOT / "results" / name, folder / name)
    return folder


def test_every_figure_is_drawn_beside_the_results(results, capsys):
    assert program.main(["--results", str(results), "--quick"]) == 0
    out = results / "figures"
    names = {f"{name}{end}" for name in program.FIGURES for end in (".png", ".pdf")}
    assert {path.name for path in out.iterdir()} == names
    for path in out.glob("*.png"):
        assert image.imread(path)[..., :3].std() > 0.01, "blank"
    for path in out.glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")
        assert path.stat().st_size > 1000
    assert capsys.readouterr().err == ""


def test_only_draws_one_figure_where_it_is_told_to(results, tmp_path):
    out = tmp_path / "elsewhere"
    assert (
        program.main(["--only", "figure1", "--quick", "--results", str(results), "--out", str(out)])
        == 0
    )
    assert {path.name for path in out.iterdir()} == {"figure1.png", "figure1.pdf"}
    assert not (results / "figures").exists()


def test_missing_result_names_its_command_and_spares_the_other_figure(results, capsys, monkeypatch):
    both = {name: program.FIGURES[name] for name in ("theorem1", "figure1")}
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


def test_broken_result_is_named(results):
    (results / "figure1.json").write_text("{")
    with pytest.raises(ValueError, match=r"figure1\.json is not JSON"):
        load(results, "figure1.json")


@pytest.mark.parametrize("figure", [figure1, theorem1], ids=lambda module: module.__name__)
def test_commands_write_the_file_they_are_named_for(figure):
    for file, command in figure.NEEDS.items():
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
