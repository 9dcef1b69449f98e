"""The SHA-256 of a file, recorded beside it.

The files of a run have a record in the format of `sha256sum --check`. The files that come with the
repository have a manifest: NAME.safetensors is described by NAME.json.
"""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NotRequired, TypedDict

from full_scale.models.tensor_file import file_sha256
from reporting import read_json
from reporting.files import write_whole
from reporting.typed import Sha256, typed

SUFFIX = ".sha256"


class Shipped(TypedDict):
    """What is used of the manifest of a file that comes with the repository."""

    sha256: Sha256
    data_sha256: NotRequired[Sha256]


def hash_file(path: Path) -> Path:
    """Where the hash of a file is recorded."""
    return path.with_name(path.name + SUFFIX)


def record_sha256(path: Path, content: Path | None = None) -> None:
    """Record the hash of a file.

    Args:
        path: the file.
        content: the file under the temporary name that it still has, if it has one.
    """
    write_whole(hash_file(path), f"{file_sha256(content or path)}  {path.name}\n".encode())


def write_hashed(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file as in `write_whole`, and its hash first: nobody finds the file without it.

    Args:
        path: file to write.
        write: writes its content to an open binary file.
    """

    def write_both(file: BinaryIO) -> None:
        write(file)
        file.flush()
        record_sha256(path, Path(file.name))

    write_whole(path, write_both)


def check_sha256(path: Path, remedy: str) -> str:
    """Compare a file with its recorded hash, and return the hash.

    Args:
        path: the file.
        remedy: what to do if they differ, for the message.

    Raises:
        ValueError: If the hash is missing, or another one is recorded. The message names the file.
    """
    record = hash_file(path)
    if not record.is_file():
        raise ValueError(f"{record} is missing; {remedy}")
    found = file_sha256(path)
    if record.read_bytes().split()[:1] != [found.encode()]:
        raise ValueError(
            f"{path} is not what was saved: its SHA-256 is {found}, and {record.name} has another "
            f"one; {remedy}"
        )
    return found


def check_shipped(path: Path, what: str, remedy: str) -> Shipped:
    """Compare a file that comes with the repository with its manifest, and return the manifest.

    Args:
        path: the file.
        what: what it is, as in "code book".
        remedy: what to do if it is missing or differs, for the message.

    Raises:
        ValueError: If the file or its manifest is missing or damaged; names the file.
    """
    try:
        recorded: Shipped = typed(Shipped, read_json(path.with_suffix(".json")))
        found = file_sha256(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{what} {path} cannot be read ({error}); {remedy}") from None
    if recorded["sha256"] != found:
        raise ValueError(f"{what} {path} is damaged: its SHA-256 is not the recorded one; {remedy}")
    return recorded
