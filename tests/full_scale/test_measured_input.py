"""What numbers are computed from is checked: samples and reference statistics."""

import json

import numpy as np
import pytest
import torch

from full_scale.evaluation.features import pixel_features
from full_scale.evaluation.frechet import FrechetReference
from full_scale.evaluation.reference import open_reference
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.hashes import record_sha256
from tests.hard_use.formats import FORMATS, SETTINGS
from tests.helpers.refusals import assert_refused

ROWS = np.arange(72).reshape(6, 12) % 9


@pytest.fixture
def folder(tmp_path):
    FORMATS["samples"].make(tmp_path)
    return tmp_path


def test_whole_samples_are_read(folder):
    opened = SampleFolder(folder)
    np.testing.assert_array_equal(opened.samples(), ROWS)
    assert opened.settings == SETTINGS


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[:5].astype(np.uint8), r"shape \(5, 12\) and run.json says uint8 of shape \(6, 12\)"),
        (np.vstack([ROWS, ROWS]).astype(np.uint8), r"shape \(12, 12\) and run.json says"),
        (ROWS.astype(np.int64), r"holds int64 .* and run.json says uint8"),
        (ROWS.astype(float), r"holds float64 .* and run.json says uint8"),
        (np.full((6, 12), np.nan), r"holds float64"),
        (ROWS.astype(complex), r"holds complex128"),
        ((ROWS + 1).astype(np.uint8), r"must hold 0\.\.8; got 9"),
    ],
)
def test_other_samples_are_refused_even_with_their_hash(folder, rows, message):
    np.save(folder / "samples.npy", rows)
    record_sha256(folder / "samples.npy")
    assert_refused(lambda: SampleFolder(folder).samples(), message)


def test_a_changed_byte_is_found(folder):
    content = bytearray((folder / "samples.npy").read_bytes())
    content[-1] ^= 1
    (folder / "samples.npy").write_bytes(content)
    assert_refused(lambda: SampleFolder(folder).samples(), "is not what was saved")


def test_a_hash_that_a_killed_process_did_not_write_is_written_later(folder):
    (folder / "samples.npy.sha256").unlink()
    assert_refused(lambda: SampleFolder(folder).samples(), "sha256 is missing; draw")
    SampleFolder.create(folder, SETTINGS, 6, 12, 9, {})
    np.testing.assert_array_equal(SampleFolder(folder).samples(), ROWS)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("num_samples",), 0, "num_samples must be at least 1"),
        (("num_dims",), "12", "num_dims must be a whole number"),
        (("settings", "plan", "steps"), None, "settings.plan.steps must be a whole number"),
        (("settings", "role"), "x", "settings.role must be one of 'teacher'"),
        (("settings", "content", "shape"), [3, 2, 3], "a shape of 12 pixels"),
        (("settings", "content", "levels"), 8, "9 levels"),
        (("settings", "content", "kind"), "sound", "settings.content.kind must be one of"),
        (("settings", "model"), {}, "settings.model lacks name"),
    ],
)
def test_a_changed_record_is_refused(folder, place, value, message):
    path = folder / "run.json"
    record = json.loads(path.read_text())
    inner = record
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path.write_text(json.dumps(record))
    line = assert_refused(lambda: SampleFolder(folder).settings, message)
    assert str(path) in line


def statistics(path, mu, sigma):
    np.savez(path, mu=mu, sigma=sigma)
    return open_reference(str(path), "pixels", pixel_features, torch.clone, 2)


@pytest.mark.parametrize(
    ("mu", "sigma", "message"),
    [
        (np.zeros(2), -np.eye(2), "covariance must have no negative eigenvalue; got -1"),
        (np.zeros(2), np.array([[1, 2.0], [2, 1]]), "no negative eigenvalue; got -1"),
        (np.zeros(2), np.array([[1, 0.5], [0, 1]]), "covariance must be symmetric"),
        (np.array([0, np.nan]), np.eye(2), "mean must hold finite"),
        (np.zeros(2), np.full((2, 2), np.inf), "covariance must hold finite"),
        (np.zeros(3), np.eye(2), r"mean must have shape \(F,\) and covariance \(F, F\)"),
        (np.zeros((2, 1)), np.eye(2), "mean must have shape"),
        (np.zeros(0), np.zeros((0, 0)), "mean must have shape"),
        (np.zeros(2, complex), np.eye(2), "must hold real numbers"),
        (np.array(["a", "b"]), np.eye(2), "must hold real numbers"),
    ],
)
def test_statistics_that_are_none_are_refused(tmp_path, mu, sigma, message):
    line = assert_refused(lambda: statistics(tmp_path / "real.npz", mu, sigma), message)
    assert "real.npz" in line


def test_rounding_is_no_damage(tmp_path):
    """A covariance of fewer samples than features, in float32: its least eigenvalue is below 0."""
    rows = np.random.default_rng(0).normal(size=(20, 64)).astype(np.float32)
    sigma = np.cov(rows, rowvar=False).astype(np.float32)
    assert np.linalg.eigvalsh(sigma.astype(float)).min() < 0
    assert isinstance(statistics(tmp_path / "a.npz", rows.mean(0), sigma), FrechetReference)
