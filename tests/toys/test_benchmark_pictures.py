"""The pictures of the benchmark: what is drawn where a logarithmic axis has no place."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from toys.pictures.benchmark import _LOOKS, draw_components, draw_laws, draw_leaderboard

FLOOR = 1e-4


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def _row(method, nfe, tv, half=None, teacher="exact"):
    """What `toys.benchmark.ranking.summarise` says of the seeds of one method on one task."""
    return {
        **{"task": "pair", "process": "masked", "method": method, "teacher": teacher, "nfe": nfe},
        **{"tv": tv, "tv_interval": half, "latent": "none", "seeds": 3, "speed_up": 1 / nfe},
    }


CURVE = [_row("teacher", n, 0.5 / n) for n in (1, 2, 4)]


def _drawn(*rows):
    """The panel of the task, its points by method, and the panel of speed-ups."""
    rows = [*CURVE, *(row | {"teacher": "network"} for row in rows)]
    fig = draw_leaderboard(rows, {"pair": "a pair"}, "masked", {})
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
    assert x[-1] == 8  # one alone is where it belongs
    once, twice = np.split(np.log2(x[:-1]), 2)
    for places, middle in ((once, 0), (twice, 1)):
        assert np.diff(places).min() > 0.03
        assert places.mean() == pytest.approx(middle, abs=1e-9)
        assert 0.6 < np.ptp(places) < 1


def test_speed_ups_carry_the_names_of_their_methods():
    _, _, _, panel = _drawn(_row("di4c", 1, 0.01), _row("sdtt", 1, 0.2))
    assert {label.get_text() for label in panel.get_yticklabels()} == {"di4c", "sdtt"}


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
    assert f"below {FLOOR:g}, zero included" in fig.get_suptitle()
    assert min(min(line.get_ydata()) for line in panel.lines) == FLOOR
    assert [text.get_text() for text in panel.texts] == ["N = 1, 4"]


def test_laws_say_how_they_are_coloured():
    law = {"task": "moons", "method": "data", "nfe": 0, "tv": 0.0, "probs": [[0.5, 0], [0, 0.5]]}
    assert "square root" in draw_laws([law], {"moons": "two moons"}).get_supxlabel()
