"""Files that come with the repository: each is compared with its manifest before it is used."""

import shutil

import pytest

from full_scale.data import mnist_tokens
from full_scale.miniatures import classifier as classifiers
from full_scale.miniatures import teachers
from reporting import read_json, write_json
from tests.helpers.refusals import assert_refused

OPENED = {
    "mnist-tokens-codes": mnist_tokens.code_book,
    "digits-classifier": lambda: classifiers.classifier("digits"),
    "words": lambda: teachers.open_teacher("words"),
}
"""What opens each kind of file."""


@pytest.fixture(params=OPENED)
def shipped(request, tmp_path, monkeypatch):
    """A copy of a file and its manifest, and what opens it instead of the file."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(teachers.TEACHERS / f"{request.param}{suffix}", tmp_path)
    path = tmp_path / f"{request.param}.safetensors"
    monkeypatch.setattr(mnist_tokens, "CODE_BOOK", path)
    monkeypatch.setattr(classifiers, "TEACHERS", tmp_path)
    monkeypatch.setattr(teachers, "TEACHERS", tmp_path)
    caches = (mnist_tokens.code_book, classifiers.classifier)
    for cached in caches:
        cached.cache_clear()
    yield path, OPENED[request.param]
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "cannot be read"),
        ({}, "cannot be read .*lacks sha256"),
        ({"sha256": 3}, "cannot be read .*sha256 must be a text; got 3"),
        ({"sha256": "0" * 64}, "is damaged: its SHA-256 is not the recorded one"),
        ({"sha256": "0" * 63}, "cannot be read .*sha256 must be at least 64 long"),
    ],
)
def test_the_manifest_is_checked(shipped, change, message):
    path, opened = shipped
    manifest = path.with_suffix(".json")
    held = {name: value for name, value in read_json(manifest).items() if name != "sha256"}
    if change is None:
        manifest.unlink()
    else:
        write_json(manifest, held | change)
    line = assert_refused(opened, message)
    assert str(path) in line
    assert "make it with: python -m full_scale" in line


def test_a_missing_or_changed_file_is_refused(shipped):
    path, opened = shipped
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert_refused(opened, f"{path} is damaged")
    path.unlink()
    assert_refused(opened, f"{path} cannot be read")


def test_the_whole_file_is_opened(shipped):
    shipped[1]()
