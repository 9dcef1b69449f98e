"""The SHA-256 of a file, recorded beside it in the format of `sha256sum --check`."""

from pathlib import Path

from full_scale.models.tensor_file import file_sha256
from reporting.files import write_whole

SUFFIX = ".sha256"


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
