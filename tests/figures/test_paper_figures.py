"""Figures of the paper: published numbers with a source, ours beside them, the rest blank."""

import itertools
import json
import re

import pytest
from matplotlib import pyplot as plt

from figures import __main__ as program
from figures import figure3, figure4, latency, table1
from figures.evaluations import FILE, our_runs
from figures.published import DI4C, DIMO, LATENCIES, PUBLISHED, REDI, published
from reporting import use_style

FIGURES = {"table1": table1, "figure3": figure3, "figure4": figure4, "latency": latency}


@pytest.fixture(autouse=True)
def _drawn_in_our_style():
    use_style()
    yield
    plt.close("all")


def _row(experiment, role, steps, metrics, guidance=0.0, num_samples=50_000, **more):
    return {
        "experiment": experiment,
        "role": role,
        "model": "model.safetensors",
        "sampler": "ancestral",
        "steps": steps,
        "teacher_steps": 0,
        "guidance": guidance,
        "redraw": None,
        "sampling_seed": 0,
        "num_samples": num_samples,
        "few_samples": num_samples < 50_000,
        "metrics": {
            name: {"value": v, "low": v - 0.25, "high": v + 0.5, "level": 0.95, "replicates": 20}
            for name, v in metrics.items()
        },
        **more,
    }


@pytest.fixture
def record(tmp_path):
    def write(*rows):
        (tmp_path / FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return tmp_path

    return write


def _texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def _points(axes):
    """Coordinates of every line with markers."""
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    return [tuple(zip(*line.get_data(), strict=True)) for line in lines]


class TestPublished:
    def test_every_number_has_a_source(self):
        for row in PUBLISHED:
            assert row.source
            assert row.metrics
            assert row.steps >= 1

    def test_latency_overheads(self):
        """27.1 of 551.5 and 140.8 of 3340.9 milliseconds; at most the 5 % that the paper states."""
        overheads = {row.experiment: row.overhead for row in LATENCIES}
        assert overheads["cifar10"] == pytest.approx(0.0271 / 0.5515)
        assert overheads["openwebtext"] == pytest.approx(0.1408 / 3.3409)
        assert overheads["imagenet"] is None
        assert all(value <= 0.05 for value in overheads.values() if value is not None)

    def test_queries(self):
        assert len(published("cifar10", "fid")) == 6
        assert published("cifar10", "is") == []
        assert {row.source for row in published("imagenet", "precision")} == {REDI}

    def test_the_imagenet_student_reaches_its_teacher_at_twice_the_calls_but_the_cifar_one_not(
        self,
    ):
        fid = {(r.experiment, r.method, r.steps, r.source): r.metrics.get("fid") for r in PUBLISHED}
        for steps in (10, 20):
            student = fid["cifar10", "Di4C", steps, DI4C]
            assert student > fid["cifar10", "tauLDR", 2 * steps, DI4C]
        assert fid["imagenet", "Di4C-d", 4, DI4C] < fid["imagenet", "MaskGIT", 8, DIMO]


class TestTable1:
    def test_without_runs_only_published_cells_are_filled(self, tmp_path):
        fig = table1.draw(tmp_path)
        numbers = [text for text in _texts(fig.axes[0]) if re.match(r"\d", text)]
        cells = sorted(map(float, numbers))
        assert cells == [8.0, 9.5, 9.77, 10, 12.36, 20, 20.64, 32.61, 40]
        assert "no run on record yet" in fig.get_supxlabel()
        assert "arXiv 2410.08709" in fig.get_supxlabel()

    def test_runs_stand_beside(self, record):
        results = record(
            _row("cifar10", "student", 5, {"fid": 55.5}),
            _row("cifar10", "student", 10, {"fid": 21.123}),
            _row("cifar10", "hybrid", 20, {"fid": 9.8}, teacher_steps=3),
            _row("cifar10", "hybrid", 20, {"fid": 9.6}, num_samples=5000),
            _row("imagenet", "student", 10, {"fid": 77.7}),
        )
        fig = table1.draw(results)
        texts = _texts(fig.axes[0])
        for expected in ("5", "55.50", "21.12", "9.60* to 9.80"):
            assert expected in texts
        assert "77.70" not in texts
        places = {t.get_text(): t.get_position() for t in fig.axes[0].texts}
        assert places["21.12"][1] == places["20.64"][1]  # one line
        assert places["21.12"][0] == places["20.64"][0] + 1  # the next column
        assert "5,000 or 50,000 samples" in fig.get_supxlabel()
        assert "*: fewer than 50,000" in fig.get_supxlabel()

    def test_of_a_repeated_evaluation_the_newest_counts(self, record):
        results = record(
            _row("cifar10", "teacher", 10, {"fid": 33.0}),
            _row("cifar10", "teacher", 10, {"fid": 32.0}),
            _row("cifar10", "teacher", 10, {"fid": 31.0}, sampling_seed=1),
        )
        assert [r["metrics"]["fid"]["value"] for r in our_runs(results, "cifar10", "fid")] == [
            32,
            31,
        ]
        assert "31.00 to 32.00" in _texts(table1.draw(results).axes[0])


class TestFigure3:
    def test_published_points(self, tmp_path):
        (axes,) = figure3.draw(tmp_path).axes
        points = {point for line in _points(axes) for point in line}
        teachers = {(224.07, 6.6), (221.57, 6.66), (192.29, 10.73), (227, 6.51), (184, 10.9)}
        students = {(209.2, 6.79), (213.6, 6.57), (216, 6.2)}
        rivals = {(205, 8.97), (228, 7.58), (240, 7.86), (182, 11.68)}
        assert points == teachers | students | rivals
        expected = {"MaskGIT, 16 steps (b)", "Di4C-d, 4 steps (a)", "ReDi3-distill, 1 step (c)"}
        assert expected <= set(_texts(axes))
        notes = axes.figure.get_supxlabel()
        assert "b: table of Di[M]O" in notes
        assert "c: table of ReDi" in notes

    def test_no_label_lies_on_another_or_on_the_frame(self, tmp_path):
        (axes,) = figure3.draw(tmp_path).axes
        axes.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in axes.texts]
        for first, second in itertools.combinations(boxes, 2):
            assert not first.overlaps(second)
        frame = axes.get_window_extent()
        assert all(frame.x0 < box.x0 and box.x1 < frame.x1 for box in boxes)

    def test_a_run_is_a_line_along_guidance(self, record):
        results = record(
            _row("imagenet", "student", 4, {"fid": 7.0, "is": 200.0}, 3.0),
            _row("imagenet", "student", 4, {"fid": 9.0, "is": 180.0}, 1.0),
            _row("imagenet", "student", 4, {"fid": 9.0}, 2.0),  # no inception score: no point
        )
        (axes,) = figure3.draw(results).axes
        assert ((180, 9.0), (200, 7.0)) in _points(axes)
        assert {"w = 1", "w = 3"} <= set(_texts(axes))
        assert "w = 2" not in _texts(axes)
        assert [t.get_text() for t in axes.get_legend().get_texts()] == ["ours: student, 4 steps"]


class TestFigure4:
    def test_published_points_carry_their_entropy(self, tmp_path):
        left, right = figure4.draw(tmp_path).axes
        points = {point for line in _points(left) for point in line}
        assert points == {(16, 44.82), (16, 61.34), (16, 26.8), (16, 32.75), (1024, 41.29)}
        expected = {"IDLM, H = 5.42", "MDLM-MMD, H = ~5.43", "SDTT, H = 5.36", "MDLM, H = 5.28"}
        assert expected <= set(_texts(left))
        assert _texts(right) == ["nothing on record"]

    def test_runs_in_both_panels(self, record):
        metrics = {"perplexity": 60.0, "entropy": 5.25, "self-bleu": 0.2}
        results = record(
            _row("openwebtext", "student", 32, metrics | {"perplexity": 40.0}, num_samples=1024),
            _row("openwebtext", "student", 16, metrics, num_samples=1024),
        )
        fig = figure4.draw(results)
        left, right = fig.axes
        assert ((16, 60), (32, 40)) in _points(left)
        assert ((0.2, 60), (0.2, 40)) in _points(right)
        assert "H = 5.25" in _texts(left)
        assert {"16 steps", "32 steps"} <= set(_texts(right))
        assert "1,024 samples" in fig.get_supxlabel()
        assert "*" not in fig.get_supxlabel()

    def test_nothing_is_cut_off(self, record):
        metrics = {"perplexity": 2000.0, "entropy": 5.25, "self-bleu": 0.2}
        left, _ = figure4.draw(record(_row("openwebtext", "student", 1, metrics))).axes
        assert left.get_xlim()[0] < 1
        assert left.get_ylim()[1] > 2000


class TestLatency:
    def test_published(self, tmp_path):
        fig = latency.draw(tmp_path)
        texts = _texts(fig.axes[0])
        assert "4.9 (0.5515 s to 0.5786 s)" in texts
        assert "4.2 (3.3409 s to 3.4817 s)" in texts
        assert "published: unchanged, no numbers" in texts
        assert "not measured yet" in fig.get_supxlabel()

    def test_the_line_of_the_bound_crosses_no_text(self, tmp_path):
        (axes,) = latency.draw(tmp_path).axes
        assert all(text.get_bbox_patch().get_facecolor() == (1, 1, 1, 1) for text in axes.texts)

    def test_ours_with_its_interval_and_its_size(self, tmp_path):
        row = {
            "experiment": "imagenet",
            "label": "reduced, cpu",
            "product_seconds": 1.0,
            "mixture_seconds": 1.07,
            "overhead_percent": 7.0,
            "overhead_low": -1.0,
            "overhead_high": 8.5,
        }
        (tmp_path / latency.RESULT).write_text(json.dumps({"rows": [row]}))
        (axes,) = latency.draw(tmp_path).axes
        assert "+7.0 (reduced, CPU)" in _texts(axes)
        (bar,) = [line for line in axes.lines if list(line.get_xdata()) == [-1.0, 8.5]]
        assert list(bar.get_ydata()) == [1.1, 1.1]  # the line of ImageNet
        low, high = axes.get_xlim()
        assert low < -1
        assert high > 8.5


@pytest.mark.parametrize("name", FIGURES)
def test_drawn_without_any_result(name, tmp_path, capsys):
    assert FIGURES[name].NEEDS == {}
    arguments = ["--only", name, "--quick", "--results", str(tmp_path)]
    assert program.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}.png", f"{name}.pdf"}
    assert capsys.readouterr().err == ""
