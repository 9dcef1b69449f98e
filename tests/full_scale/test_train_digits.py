"""The digits experiment: scores of real images, tables, a tiny run from end to end, the figure."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from figures import digits as figure
from full_scale import digits
from full_scale.data import open_data
from full_scale.training.config import DIGITS, Reports
from tests.helpers import train_cases
from tests.helpers.digits_result import SAMPLE, digits_result


def _levels(split):
    data = open_data("digits", split=split)
    return torch.stack([data[i]["x_0"] for i in range(len(data))])


def test_scores_of_real_images_and_of_noise():
    held_out = digits.score(_levels("test"))
    assert held_out["frechet"] == pytest.approx(0, abs=1e-9)
    assert held_out["training_share"] == 0
    training = digits.score(_levels("train")[:898])
    assert training["frechet"] == pytest.approx(digits.floor_distance(), rel=1e-9)
    assert training["training_share"] > 0.99  # some images are in both halves
    assert training["num_samples"] == 898
    assert 0 < digits.floor_distance() < 0.1
    noise = torch.randint(17, (898, 64), generator=torch.Generator().manual_seed(0))
    assert digits.score(noise)["frechet"] > 50 * digits.floor_distance()


def test_samples_are_recorded_as_text():
    levels = torch.zeros(1, 64, dtype=torch.long)
    levels[0, -1] = 16
    (text,) = digits.score(levels.expand(20, -1))["samples"][:1]
    assert text == SAMPLE


def test_summary_and_comparison_match_numbers_by_hand():
    result = digits_result()
    summary = {(row["model"], row["steps"]): row for row in result["summary"]}
    assert summary["teacher", 2]["frechet"] == 2.25
    assert summary["teacher", 2]["seeds"] == 2
    # Two values 0.5 apart: standard error 0.25; Student's t with one degree of freedom.
    assert summary["teacher", 2]["interval"] == pytest.approx(0.25 * math.tan(0.475 * math.pi))
    assert summary["hybrid", 2]["interval"] == 0
    comparison = {(row["model"], row["steps"]): row for row in result["comparison"]}
    assert comparison.keys() == {("student", 1), ("student", 2), ("hybrid", 2)}
    assert comparison["student", 1]["equal"] == 0
    assert comparison["student", 1]["double"] == 2.0
    # The student has 0.5 and 1.5 at 2 calls. The teacher has 2.0 and 2.5 at 2, 1.0 and 1.5 at 4.
    assert comparison["student", 2]["equal"] == -1.25
    assert comparison["student", 2]["double"] == -0.25


def test_one_seed_has_no_interval():
    rows = [row for row in digits_result()["rows"] if row["seed"] == 0]
    assert {row["interval"] for row in digits.summarise(rows)} == {None}
    assert {row["double_interval"] for row in digits.compare(rows)} == {None}


def test_late_times_have_the_expected_share():
    """Half of all t are uniform on [0.75, 1], the others on (0.01 + gap, 1], where gap = t - u.

    About a quarter of the others lie in [0.75, 1] as well. The expected share of t >= 0.75 is
    therefore 0.5 + 0.5 * E[0.25 / (0.99 - gap)]. The test allows 4 standard deviations.
    """
    t, u = DIGITS.times.draw(20_000, torch.Generator().manual_seed(0))
    gap = t - u
    assert 0.01 - 1e-12 <= float(gap.min()) < float(gap.max()) <= 0.1 + 1e-12
    assert 0 <= float(u.min()) < float(t.max()) <= 1
    log_uniform = torch.logspace(-2, -1, 10_001, dtype=torch.float64)
    expected = 0.5 + 0.5 * float((0.25 / (0.99 - log_uniform)).mean())
    assert float((t >= 0.75).double().mean()) == pytest.approx(expected, abs=4 * 0.5 / 20_000**0.5)


@pytest.fixture
def tiny(monkeypatch):
    """The quick run with smaller networks and fewer steps, which takes seconds."""
    train_cases.register()
    small = {"preset": "tiny", "reports": Reports(log_every=1, sample_every=0)}
    small["check_memory"] = False  # the estimate takes longer than the training
    size = replace(
        digits.QUICK,
        students=2,
        teacher=replace(digits.QUICK.teacher, steps=2, **small),
        student=replace(digits.QUICK.student, steps=1, num_latents=2, **small),
        steps=(1, 2),
        teacher_steps=(1, 2),
    )
    monkeypatch.setattr(digits, "QUICK", size)
    return size


def test_the_digits_command_runs_and_keeps_finished_students(tiny, tmp_path, capsys):
    out, json_file = tmp_path / "out", tmp_path / "digits.json"
    arguments = ["--quick", "--out", str(out), "--json", str(json_file)]
    digits.main([*arguments, "--students", "1"])
    first = json.loads(json_file.read_text())
    rows_of_1 = (out / "rows1.jsonl").read_bytes()
    digits.main(arguments)  # trains student 0; student 1 is finished
    assert (out / "rows1.jsonl").read_bytes() == rows_of_1
    result = json.loads(json_file.read_text())
    assert [row for row in result["rows"] if row["seed"] == 1] == first["rows"]
    names = {(row["model"], row["steps"]) for row in result["rows"]}
    assert names == {
        *(("teacher", n) for n in (1, 2)),
        *(("student", n) for n in (1, 2)),
        ("hybrid", 2),
    }
    for row in result["rows"]:
        assert row["num_samples"] == 898
        assert math.isfinite(row["frechet"])
        if row["model"] != "teacher":
            assert row["manifest"]["student_run"]["seed"] == row["seed"]
        assert row["manifest"]["teacher_run"]["seed"] == 0
    assert "floor, training images against held-out images" in capsys.readouterr().out


def test_a_stopped_training_ends_the_command(tiny, tmp_path, monkeypatch):
    from full_scale.training.trainer import Outcome

    monkeypatch.setattr(digits, "train", lambda run: Outcome(1, False, None))
    with pytest.raises(SystemExit) as stop:
        digits.main(["--quick", "--out", str(tmp_path)])
    assert stop.value.code == 0


def test_figure_shows_the_numbers_and_the_samples(tmp_path):
    (tmp_path / figure.RESULT).write_text(json.dumps(digits_result()))
    fig = figure.draw(tmp_path)
    left, teacher, student = fig.axes
    lines = {c.get_label(): c.lines[0].get_xydata() for c in left.containers}
    np.testing.assert_allclose(lines["teacher"], [[1, 4.25], [2, 2.25], [4, 1.25]])
    np.testing.assert_allclose(lines["hybrid"], [[2, 1.0]])
    for axes in (teacher, student):
        picture = axes.images[0].get_array()
        assert picture.shape == (2 * 12, 3 * 12)  # two rows, 1 and 2 calls; three samples
        assert picture[2 + 7, 2 + 7] == 16  # last pixel of the first image, inside its margin
        assert picture.sum() == 16 * 6
        assert [label.get_text() for label in axes.get_yticklabels()] == ["1", "2"]
    import matplotlib.pyplot as plt

    plt.close(fig)
