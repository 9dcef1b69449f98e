"""Sources of checkpoints: local files, and the real client against a small hub of our own."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from huggingface_hub import constants

from full_scale import load_model
from full_scale.models.sources import locate
from tests.helpers.refusals import assert_refused
from tests.helpers.tiny_models import UNET, save_model

ROOT = Path(__file__).parents[2]
COMMITS = {"main": "a" * 40, "round_7": "b" * 40, "refs/pr/1": "c" * 40}


class Hub(BaseHTTPRequestHandler):
    """Files of one repository, /owner/name/resolve/REVISION/FILE, and the hub's error answers."""

    files: ClassVar[dict[tuple[str, str], bytes]] = {}
    requests: ClassVar[list[str]] = []

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, with_body):
        self.requests.append(f"{self.command} {self.path}")
        match = re.fullmatch(r"/(\w+/[\w-]+)/resolve/([^/]+)/(.+)", self.path)
        repository, revision, file = match.groups() if match else ("", "", "")
        revision = revision.replace("%2F", "/")
        commits = COMMITS | {commit: commit for commit in COMMITS.values()}
        if repository == "owner/gated":
            return self.refuse(403, "GatedRepo")
        if repository == "owner/broken":
            return self.refuse(500, None)
        if repository != "owner/name":
            return self.refuse(401 if repository == "owner/private" else 404, "RepoNotFound")
        if revision not in commits:
            return self.refuse(404, "RevisionNotFound")
        commit = commits[revision]
        if (commit, file) not in self.files:
            return self.refuse(404, "EntryNotFound", commit)
        content = self.files[commit, file]
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)
        return None

    def refuse(self, status, code, commit=None):
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        if commit:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


def point_to(address, monkeypatch):
    """Set the hub's address, as HF_ENDPOINT does before the client is imported."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
    monkeypatch.setattr(constants, "ENDPOINT", address)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The client uses a server of this test and an empty cache."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    point_to(address, monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # the client tries again and again
    monkeypatch.setattr(Hub, "files", {})
    monkeypatch.setattr(Hub, "requests", [])
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("source", "commit", "file"),
    [
        ("hf://owner/name", "a" * 40, "model.safetensors"),
        ("hf://owner/name@round_7", "b" * 40, "model.safetensors"),
        ("hf://owner/name@refs%2Fpr%2F1", "c" * 40, "model.safetensors"),
        (f"hf://owner/name@{'b' * 40}", "b" * 40, "model.safetensors"),
        ("hf://owner/name/folder/last.ckpt", "a" * 40, "folder/last.ckpt"),
        ("hf://owner/name@round_7/folder/last.ckpt", "b" * 40, "folder/last.ckpt"),
    ],
)
def test_file_of_the_hub(source, commit, file, hub):
    content = f"{commit} {file}".encode() * 1000
    Hub.files[commit, file] = content
    located = locate(source)
    assert located.path.read_bytes() == content
    assert located.origin == f"hf://owner/name@{commit}/{file}"
    assert located.sha256 == hashlib.sha256(content).hexdigest()


def test_a_downloaded_repository_is_its_model(tmp_path):
    """A folder of the files, and the cache of the hub, which names repository and commit."""
    own, cache = tmp_path / "sdtt", tmp_path / "models--jdeschena--sdtt"
    snapshot = cache / "snapshots" / ("a" * 40)
    for folder in (own, snapshot):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(folder.name.encode())
    assert locate(own).path == own / "model.safetensors"
    assert locate(own).origin == "sdtt/model.safetensors"
    assert locate(cache).path == snapshot / "model.safetensors"
    assert locate(cache).origin == f"hf://jdeschena/sdtt@{'a' * 40}/model.safetensors"
    (cache / "snapshots" / ("b" * 40)).mkdir()
    with pytest.raises(ValueError, match=f"holds 2 revisions; give one of .*{'a' * 40}, b"):
        locate(cache)
    (own / "model.safetensors").rename(own / "other.ckpt")
    with pytest.raises(ValueError, match=r"folder without model\.safetensors; name a file in it"):
        locate(own)


def test_a_second_time_from_the_cache(hub, monkeypatch):
    Hub.files["a" * 40, "model.safetensors"] = b"content"
    first = locate("hf://owner/name")
    count = len([request for request in Hub.requests if request.startswith("GET")])
    assert locate("hf://owner/name") == first
    point_to("http://127.0.0.1:1", monkeypatch)
    assert locate("hf://owner/name") == first
    assert len([request for request in Hub.requests if request.startswith("GET")]) == count


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("hf://owner/gated", "hf://owner/gated is gated; accept its terms"),
        ("hf://owner/private", "hf://owner/private does not exist or is private"),
        ("hf://owner/absent", "hf://owner/absent does not exist or is private"),
        ("hf://owner/name@absent", "hf://owner/name@absent: the repository has no such revision"),
        ("hf://owner/name", "hf://owner/name has no file model.safetensors; give one of its"),
        ("hf://owner/name/x.pt", "hf://owner/name has no file x.pt"),
        ("hf://owner/broken", "the hub does not answer"),
        ("hf://owner", "hf://owner is not an address; write hf://owner/name@revision/file"),
        ("hf://owner/name@", "is not an address"),
        ("hf://owner/na me", "is not an address"),
        ("hf://owner/-name-", "cannot be downloaded"),
    ],
)
def test_refusals_of_the_hub_are_one_line(source, message, hub):
    assert_refused(lambda: locate(source), re.escape(message))


def test_offline(hub, monkeypatch):
    message = "is not in the cache and the hub does not answer; go online, or download"
    point_to("http://127.0.0.1:1", monkeypatch)
    with pytest.raises(ValueError, match=message):
        locate("hf://owner/name")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=message):
        locate("hf://owner/name")


def test_without_the_client(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match="install it: pip install"):
        locate("hf://owner/name")


def test_local_files(tmp_path, monkeypatch):
    (tmp_path / "x.pt").write_bytes(b"content")
    located = locate(tmp_path / "x.pt")
    assert (located.path, located.origin) == (tmp_path / "x.pt", "x.pt")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("~/x.pt").path == tmp_path / "x.pt"
    with pytest.raises(FileNotFoundError, match=r"no file absent\.pt; check the path"):
        locate("absent.pt")
    with pytest.raises(ValueError, match=r"name a file in it: one of x\.pt$"):
        locate(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="name a file in it: it holds no checkpoint"):
        locate(tmp_path / "empty")


def test_model_of_the_hub(hub, tmp_path):
    path = save_model(tmp_path / "x.safetensors", UNET)
    Hub.files["a" * 40, "model.safetensors"] = path.read_bytes()
    model = load_model("hf://owner/name")
    assert model.origin == f"hf://owner/name@{'a' * 40}/model.safetensors"
    assert model.sha256 == load_model(path).sha256


def test_command_takes_addresses(hub, tmp_path):
    """The command runs in its own process, with the client's environment variables."""
    result = subprocess.run(
        [sys.executable, "-m", "full_scale.convert", "mdlm", "hf://owner/name", "x.safetensors"],
        cwd=ROOT,
        env=os.environ | {"HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: hf://owner/name has no file model.safetensors")
    assert result.stderr.count("\n") == 1
    assert any("/owner/name/resolve/main/model.safetensors" in line for line in Hub.requests)
