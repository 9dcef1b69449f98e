"""Parts of the trainer: learning rates, averages of weights, logbook, previews."""

import json
import math

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from full_scale.evaluation.decoding import Previews, sheet
from full_scale.models.presets import PRESETS
from full_scale.train import train
from full_scale.training import log as logbook
from full_scale.training.cost import outline
from full_scale.training.ema import EMA
from full_scale.training.log import Logbook, in_bar, require_tracker
from full_scale.training.options import Optimizer, Reports
from reporting import read_rows
from tests.helpers import train_cases


def test_learning_rates_follow_their_schedule():
    constant = Optimizer(learning_rate=2.0, warmup=4)
    assert [constant.rate(n, 100) for n in (0, 1, 3, 4, 99)] == [0.5, 1.0, 2.0, 2.0, 2.0]
    cosine = Optimizer(learning_rate=2.0, warmup=4, schedule="cosine")
    assert [cosine.rate(n, 12) for n in (0, 3)] == [0.5, 2.0]
    assert cosine.rate(8, 12) == pytest.approx(1.0)  # half way from 4 to 12
    assert cosine.rate(11, 12) < 0.1
    assert Optimizer(learning_rate=1.0).rate(0, 1) == 1.0


def test_the_average_of_weights_follows_its_formula():
    parameter = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    ema = EMA({"w": parameter}, 0.5)
    expected = parameter.detach().double().clone()
    for step in range(1, 30):
        with torch.no_grad():
            parameter += 0.1 * step
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * parameter.detach().double()
        ema.update(step)
    torch.testing.assert_close(ema.shadows["w"].double(), expected, rtol=1e-6, atol=1e-6)
    trained = parameter.detach().clone()
    with ema.applied():
        assert torch.equal(parameter.detach(), ema.shadows["w"])
    assert torch.equal(parameter.detach(), trained)
    with pytest.raises(RuntimeError), ema.applied():
        raise RuntimeError
    assert torch.equal(parameter.detach(), trained)
    with pytest.raises(ValueError, match=r"ema_decay must lie in \[0, 1\); got 1"):
        EMA({}, 1.0)


def test_the_average_of_bfloat16_weights_is_float32():
    ema = EMA({"w": torch.ones(1, dtype=torch.bfloat16)}, 0.9)
    assert ema.shadows["w"].dtype == torch.float32


def test_logbook_writes_means_and_restores_pending_values(tmp_path):
    book = Logbook(tmp_path)
    book.add({"a": torch.tensor([1.0, 2.0])})
    book.add({"a": torch.tensor([6.0]), "b": torch.tensor([1.0])})
    other = Logbook(tmp_path)
    other.resume(0, book.state())
    row = other.row(5, {"rate": 0.5, "alarm": False})
    assert row["a"] == 3.0
    assert row["a_error"] == pytest.approx(math.sqrt(7 / 3))  # variance 7, three values
    assert row["b"] == 1.0
    assert "b_error" not in row
    other.add({"a": torch.tensor([1.0])})
    other.row(6, {})
    other.resume(5, {})
    assert [json.loads(x)["step"] for x in (tmp_path / "log.jsonl").read_text().splitlines()] == [5]


def test_seconds_per_step_count_from_the_last_row_or_the_start(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logbook.time, "perf_counter", lambda: now[0])
    book = Logbook(tmp_path)
    book.resume(1050, {})
    for step, seconds in ((1100, 10.0), (1200, 20.0), (1230, 6.0)):
        now[0] += seconds
        book.clock(step, None, examples=8, operations=3e12)
    rows = [json.loads(line) for line in (tmp_path / "clock.jsonl").read_text().splitlines()]
    assert [row["seconds_per_step"] for row in rows] == pytest.approx([0.2, 0.2, 0.2])
    assert [row["examples_per_second"] for row in rows] == pytest.approx([40, 40, 40])
    assert [row["tflop_per_second"] for row in rows] == pytest.approx([15, 15, 15])
    assert in_bar(rows[0] | {"loss": 1.5}) == {"loss": "1.5", "examples/s": "40", "TFLOP/s": "15"}


def test_a_tracker_gets_every_row(tmp_path):
    """TensorBoard, in a run. The speed is that of the operations that are counted before it."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_cases.register()
    train_cases.write_teacher(tmp_path / "teacher.safetensors")
    reports = Reports(log_every=1, sample_every=0, track="tensorboard")
    run = train_cases.student_run(tmp_path, steps=2, reports=reports)
    train(run, progress=False)
    events = EventAccumulator(str(run.out / "tensorboard"))
    events.Reload()
    for name in ("log", "clock"):
        rows = read_rows(run.out / f"{name}.jsonl")
        assert [row["step"] for row in rows] == [1, 2]
        for key in ("loss", "gradient_norm") if name == "log" else ("tflop_per_second",):
            sent = [(event.step, event.value) for event in events.Scalars(key)]
            assert sent == [(row["step"], pytest.approx(row[key], rel=1e-6)) for row in rows]
    work = [row["tflop_per_second"] * row["seconds_per_step"] for row in rows]
    assert work == pytest.approx([outline(run).operations() / 1e12] * 2)


def test_a_missing_tracker_is_refused(monkeypatch):
    monkeypatch.setattr(logbook, "get_available_trackers", list)
    with pytest.raises(ValueError, match="track is wandb, and its package is missing; install it"):
        require_tracker("wandb")
    require_tracker(None)


def test_a_sheet_shows_images_row_by_row():
    images = torch.zeros(3, 1, 2, 2).numpy()
    images[1] += 0.5
    picture = sheet(images)
    assert picture.shape == (5, 5, 3)
    assert picture[:2, :2].max() == 0
    assert (picture[:2, 3:] == 0.5).all()
    assert (picture[3:, :2] == 0).all()
    assert (picture[3:, 3:] == 1).all()  # no image here


def test_tokens_are_saved_as_numbers_without_a_decoder(tmp_path):
    samples = torch.arange(8).reshape(2, 4)
    path = Previews(PRESETS["sdtt-owt"].network).write(samples, tmp_path / "samples" / "step")
    np.testing.assert_array_equal(np.load(path), samples.numpy())


@pytest.mark.parametrize("name", ["sdtt-owt", "maskgit-imagenet"])
def test_a_missing_decoder_is_refused_before_training(tmp_path, name):
    with pytest.raises((ValueError, FileNotFoundError), match="nothing"):
        Previews(PRESETS[name].network, str(tmp_path / "nothing"))


def test_pixels_are_saved_as_a_picture(tmp_path):
    samples = torch.zeros(4, 64, dtype=torch.long)
    samples[3] = 16
    path = Previews(PRESETS["digits"].network).write(samples, tmp_path / "step")
    picture = imread(path)[..., :3]
    assert picture[:8, :8].max() == 0  # first sample, no ink
    assert picture[-8:, -8:].min() == 1
