"""A checkpoint that lacks a part of the state is refused, even if its hash is right."""

import pytest
import torch

from full_scale.models.hashes import record_sha256
from full_scale.training.checkpoint import latest_checkpoint
from tests.helpers.refusals import assert_refused
from tests.helpers.train_cases import register, student_run, trainer, write_teacher


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    register()
    folder = tmp_path_factory.mktemp("resume")
    write_teacher(folder / "teacher.safetensors")
    run = student_run(folder, steps=2)
    trainer(run).fit()
    return run


def _first(table):
    return next(iter(table))


def _without_weight(content):
    del content["state"]["weights"][_first(content["state"]["weights"])]


def _nan(content):
    weights = content["state"]["ema"]
    weights[_first(weights)] = torch.full_like(weights[_first(weights)], torch.nan)


def _without_moments(content):
    content["state"]["optimizer"]["state"] = {}


def _without_one_moment(content):
    moments = content["state"]["optimizer"]["state"]
    del moments[_first(moments)]["exp_avg"]


def _other_steps(content):
    for entry in content["state"]["optimizer"]["state"].values():
        entry["step"] += 1


def _other_number(content):
    content["step"] = 3


DAMAGES = {
    "a weight is missing": (_without_weight, "has weights that do not fit the network; missing"),
    "an average is NaN": (_nan, "averages of .* are not finite"),
    "all moments are missing": (_without_moments, "has exp_avg that do not fit .* missing"),
    "one moment is missing": (_without_one_moment, "has exp_avg that do not fit .* missing"),
    "the optimiser took other steps": (_other_steps, "is of step 2, and its optimiser of"),
    "the step is not that of the name": (_other_number, "is of step 3, so its name is wrong"),
    "a part is missing": (lambda c: c["state"].pop("ema"), "has no ema"),
    "pending is no dictionary": (lambda c: c["state"].update(pending=[]), "has no pending"),
    "the state is missing": (lambda c: c.pop("state"), "lacks state"),
    "the step is a text": (lambda c: c.update(step="2"), "step must be a whole number"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_with_the_right_hash_is_refused(run, damage, message):
    path = latest_checkpoint(run.out / "checkpoints")
    whole = path.read_bytes()
    content = torch.load(path, weights_only=True)
    damage(content)
    torch.save(content, path)
    record_sha256(path)
    try:
        assert path.name in assert_refused(lambda: trainer(run), message)
    finally:
        path.write_bytes(whole)
        record_sha256(path)


def test_the_whole_state_is_resumed(run):
    assert trainer(run).step == 2
