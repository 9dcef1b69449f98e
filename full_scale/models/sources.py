"""Where a checkpoint comes from: a local path, or a file on the Hugging Face hub.

    checkpoints/tldr-di4c.pt                     a local file
    downloads/sdtt                               model.safetensors of a repository downloaded there
    models--jdeschena--sdtt                      the same in a cache of the hub
    hf://owner/name                              model.safetensors of the repository
    hf://owner/name@revision                     the same at a branch, tag or commit
    hf://owner/name@revision/folder/file.ckpt    another file

Files from the hub stay in its cache (HF_HOME), so a second call works offline.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from full_scale.models.tensor_file import file_sha256
from reporting.inputs import require_file

_SCHEME = "hf://"
_GRAMMAR = re.compile(
    r"hf://(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)(@(?P<revision>[^/@]+))?(/(?P<file>.+))?"
)
_DEFAULT_FILE = "model.safetensors"
_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth", ".safetensors"}


@dataclass(frozen=True)
class Located:
    """A file on this machine.

    Attributes:
        path: path of the file.
        origin: how others find it: hf://owner/name@commit/file, or the name of a local file.
    """

    path: Path
    origin: str

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return file_sha256(self.path)


def locate(source: Path | str) -> Located:
    """The file that a source names. A file of the hub is downloaded if it is not in the cache.

    Args:
        source: see the module. A slash in a revision is written %2F.

    Raises:
        FileNotFoundError: If there is no such local file.
        ValueError: If the source is a folder without such a file, or not a valid address. Also if
            the hub cannot be reached, has no such file, or does not give it to this user. The
            message says what to do.
    """
    if str(source).startswith(_SCHEME):
        return _from_hub(str(source))
    path = Path(source).expanduser()
    if path.is_dir():
        return _from_folder(path)
    return Located(require_file(path, f"check the path, or give {_SCHEME}owner/name"), path.name)


def _from_folder(folder: Path) -> Located:
    """The model.safetensors of a repository that was downloaded: its files, or the hub's cache."""
    revisions = sorted(p for p in (folder / "snapshots").glob("*") if p.is_dir())
    if len(revisions) == 1:
        owner, _, name = folder.name.removeprefix("models--").partition("--")
        return Located(
            require_file(revisions[0] / _DEFAULT_FILE, "give the path of another file"),
            f"{_SCHEME}{owner}/{name}@{revisions[0].name}/{_DEFAULT_FILE}",
        )
    if revisions:
        raise ValueError(
            f"{folder} holds {len(revisions)} revisions; give one of {folder / 'snapshots'}: "
            f"{', '.join(p.name for p in revisions[:3])}"
        )
    if (folder / _DEFAULT_FILE).is_file():
        return Located(folder / _DEFAULT_FILE, f"{folder.resolve().name}/{_DEFAULT_FILE}")
    files = sorted(p.name for p in folder.iterdir() if p.suffix in _SUFFIXES)
    found = f"one of {', '.join(files[:6])}" if files else "it holds no checkpoint"
    raise ValueError(f"{folder} is a folder without {_DEFAULT_FILE}; name a file in it: {found}")


def _from_hub(source: str) -> Located:
    match = _GRAMMAR.fullmatch(source)
    if match is None:
        raise ValueError(f"{source} is not an address; write hf://owner/name@revision/file")
    repository = f"{match['owner']}/{match['name']}"
    revision = unquote(match["revision"]) if match["revision"] else None
    file = match["file"] or _DEFAULT_FILE
    path = _download(repository, revision, file)
    folders = path.parts[: -len(Path(file).parts)]
    return Located(path, f"{_SCHEME}{repository}@{folders[-1]}/{file}")  # snapshots/COMMIT/file


def _download(repository: str, revision: str | None, file: str) -> Path:
    try:
        import huggingface_hub  # slow to import, and only hf:// addresses need it
        from huggingface_hub import errors
    except ImportError:
        raise ValueError(
            "hf:// sources need huggingface-hub; install it: pip install -e '.[full-scale]'"
        ) from None
    what = f"{_SCHEME}{repository}{f'@{revision}' if revision else ''}"
    try:
        return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
    except errors.LocalEntryNotFoundError:
        problem = (
            f"{what}/{file} is not in the cache and the hub does not answer; go online, or "
            "download the file elsewhere and give its path"
        )
    except errors.GatedRepoError:
        problem = f"{what} is gated; accept its terms on its page and run: hf auth login"
    except errors.RepositoryNotFoundError:
        problem = f"{what} does not exist or is private; check the name, or run: hf auth login"
    except errors.RevisionNotFoundError:
        problem = f"{what}: the repository has no such revision; see the branches on its page"
    except errors.EntryNotFoundError:
        problem = f"{what} has no file {file}; give one of its files: {what}/FILE"
    except (OSError, errors.HFValidationError) as error:
        reason = str(error).strip().split("\n")[0]
        problem = f"{what}/{file} cannot be downloaded ({reason}); try again, or give a local path"
    raise ValueError(problem)
