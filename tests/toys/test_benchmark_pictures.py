"""The pictures of the benchmark: values, readability, and zeros on logarithmic axes."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from reporting import read_json
from toys.benchmark.tables import comparison, title_of
from toys.pictures.benchmark import _LOOKS, draw_leaderboard, draw_leaderboard_panels
from toys.pictures.laws import draw_components, draw_laws

FLOOR = 1e-4


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def _row(method, nfe, tv, half=None, teacher="exact"):
    """A line of `toys.benchmark.ranking.summarise`."""
    return {
        **{"task": "pair", "process": "masked", "method": method, "teacher": teacher, "nfe": nfe},
        **{"tv": tv, "tv_interval": half, "latent": "none", "seeds": 3, "speed_up": 1 / nfe},
    }


CURVE = [_row("teacher", n, 0.5 / n) for n in (1, 2, 4)]


def _drawn(*rows):
    """The figure, the panel of the task, its points by colour, and the panel of speed-ups."""
    rows = [*CURVE, *(row | {"teacher": "network"} for row in rows)]
    record = {"summary": rows, "tasks": {"pair": "a pair"}, "limits": []}
    fig = draw_leaderboard_panels(record, "masked")
    panel, cell = fig.axes
    bars = {bar.lines[0].get_color(): bar for bar in panel.containers}
    return fig, panel, bars, cell.child_axes[0]


def test_an_interval_that_reaches_zero_ends_in_an_arrow():
    fig, panel, bars, _ = _drawn(_row("di4c", 1, 0.01, 0.02), _row("sdtt", 1, 0.02, 0.01))
    endless, plain = (
        bars[_LOOKS[name][0]].lines[2][0].get_segments()[0] for name in ("di4c", "sdtt")
    )
    np.testing.assert_allclose(plain[:, 1], [0.01, 0.03])
    low, high = endless[:, 1]
    assert high == pytest.approx(0.03)
    assert 0.005 < low < 0.01
    (arrow,) = (line for line in panel.lines if line.get_markersize() < 3)
    np.testing.assert_allclose(arrow.get_xydata(), [[endless[0, 0], low]])
    assert arrow.get_color() == _LOOKS["di4c"][0]
    assert "arrow" in fig.get_suptitle()


def test_a_smaller_tv_stands_on_the_floor_inside_the_panel():
    fig, panel, bars, _ = _drawn(_row("sequential", 2, 0.0))
    (point,) = bars[_LOOKS["sequential"][0]].lines[0].get_xydata()
    np.testing.assert_allclose(point, [2, FLOOR])
    assert panel.get_ylim()[0] < FLOOR
    assert f"below {FLOOR:g} is drawn" in fig.get_suptitle()


def test_points_of_one_number_of_evaluations_stand_side_by_side():
    names = list(_LOOKS)
    rows = [_row(name, nfe, 0.1) for nfe in (1, 2) for name in names]
    _, panel, _, _ = _drawn(*rows, _row("di4c", 8, 0.1))
    x = np.sort([x for bar in panel.containers for x in bar.lines[0].get_xdata()])
    assert x[-1] == 8  # a single point is not moved
    once, twice = np.split(np.log2(x[:-1]), 2)
    for places, middle in ((once, 0), (twice, 1)):
        assert np.diff(places).min() > 0.03
        assert places.mean() == pytest.approx(middle, abs=1e-9)
        assert 0.6 < np.ptp(places) < 1


def test_speed_ups_carry_the_names_of_their_methods():
    _, _, _, panel = _drawn(_row("di4c", 1, 0.01), _row("sdtt", 1, 0.2))
    assert {label.get_text() for label in panel.get_yticklabels()} == {
        title_of("di4c"),
        title_of("sdtt"),
    }


RECORD = read_json(Path(__file__).parents[2] / "results" / "leaderboard.json")


def test_the_leaderboard_shows_each_median_with_its_range():
    fig = draw_leaderboard(RECORD)
    lines = comparison(RECORD)
    labels = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert labels[0] in {title_of("di4c-d"), title_of("data-likelihood")}
    for axes, nfe in zip(fig.axes, (1, 2, 4), strict=True):
        assert f"{nfe} call" in axes.get_title()
        drawn = [bar.lines[0].get_xydata() for bar in axes.containers]
        ends = [bar.lines[2][0].get_segments() for bar in axes.containers]
        for process, points, bars in zip(("masked", "uniform"), drawn, ends, strict=True):
            here = [line for line in lines if (line["nfe"], line["process"]) == (nfe, process)]
            for line, (x, y), bar in zip(here, points, bars, strict=True):
                assert x == pytest.approx(line["speed_up"])
                assert bar[:, 0] == pytest.approx([line["least"], line["greatest"]])
                assert labels[round(y)] == title_of(line["method"])
            best = max(line["speed_up"] for line in here)
            assert f"{best:.1f}" in {text.get_text() for text in axes.texts}


def test_the_leaderboard_is_readable_in_print_and_on_a_phone():
    """16 cm wide with letters of 7 pt or more; 390 pixels wide with letters of 8 pixels or more."""
    fig = draw_leaderboard(RECORD)
    fig.canvas.draw()
    texts = [text for text in fig.findobj(Text) if text.get_text() and text.get_visible()]
    least, width = min(text.get_fontsize() for text in texts), fig.get_figwidth()
    assert least * (16 / 2.54) / width >= 7
    assert least / 72 * 390 / width >= 8
    for axes in fig.axes:
        numbers = [text.get_window_extent() for text in axes.texts]
        bars = [bar.lines[2][0].get_window_extent() for bar in axes.containers]
        assert max(bar.x1 for bar in bars) < min(number.x0 for number in numbers) + 1
    titles = [axes.title.get_window_extent() for axes in fig.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(titles))


def test_a_small_record_is_drawn_too():
    lines = [_row("di4c", 1, 0.01)]
    (axes,) = draw_leaderboard({"summary": [*CURVE, *lines]}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [title_of("di4c")]
    draw_leaderboard({"summary": CURVE})  # the teacher alone


def test_methods_look_different():
    assert len(set(_LOOKS.values())) == len(_LOOKS)
    alike = {"o", "h", "p", "8"}  # nearly a circle at this size
    for color in {color for color, _ in _LOOKS.values()}:
        assert sum(look == (color, marker) for look in _LOOKS.values() for marker in alike) <= 1


def _components(teacher):
    rows = [{"components": k, "tv": tv, "lower": 0.0, "upper": 0.9} for k, tv in ((1, 0.5), (2, 0))]
    steps = [{"steps": n, "tv": tv} for n, tv in teacher.items()]
    law = {"task": "pair", "title": "a pair", "rows": rows, "needed": [2, 2], "teacher": steps}
    return draw_components([law])


def test_levels_that_are_close_share_a_name_beside_the_panel():
    fig = _components({1: 0.5, 4: 0.4, 16: 0.1, 64: 0.02})
    (panel,) = fig.axes
    assert [text.get_text() for text in panel.texts] == ["N = 1, 4", "N = 16", "N = 64"]
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in panel.texts]
    assert min(box.x0 for box in boxes) > panel.bbox.x1
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)


def test_components_show_what_is_below_the_floor():
    fig = _components({1: 0.0, 4: 0.0})  # a product: one step is exact
    (panel,) = fig.axes
    assert panel.get_ylim()[0] < FLOOR
    assert f"below {FLOOR:g}, or zero," in fig.get_suptitle()
    assert min(min(line.get_ydata()) for line in panel.lines) == FLOOR
    assert [text.get_text() for text in panel.texts] == ["N = 1, 4"]


def test_laws_say_how_they_are_coloured():
    law = {"task": "moons", "method": "data", "nfe": 0, "tv": 0.0, "probs": [[0.5, 0], [0, 0.5]]}
    assert "square root" in draw_laws([law], {"moons": "two moons"}).get_supxlabel()
