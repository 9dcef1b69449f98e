"""Where a result comes from: code, command, seed, hardware, versions and date."""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
"""The clone: the folder that holds di4c, theory, toys, results."""


def manifest(seed: int | None = None, **extra: Any) -> dict[str, Any]:
    """Everything that is needed to make a record again, ready for JSON.

    Args:
        seed: seed of the run, None if nothing is random.
        **extra: further entries.

    Returns:
        code: sha of the commit, and whether files outside results/ differ from it ("dirty");
            both None outside git.
        command: what to type in the root of the clone; paths outside it keep only their name.
        seed: as given.
        hardware: cpu model, cores that this process may use, memory_gib, gpu name or None and
            num_gpus.
        versions: python, torch, numpy, scipy.
        date: UTC, ISO 8601.

    Raises:
        ValueError: If an extra entry has the name of a standard one.
    """
    entries = {
        "code": _code(ROOT),
        "command": _command(sys.orig_argv, sys.argv[0], ROOT),
        "seed": seed,
        "hardware": _hardware(),
        "versions": _versions(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if taken := entries.keys() & extra.keys():
        raise ValueError(f"extra entries {sorted(taken)} are standard entries; rename them")
    return entries | extra


def shown(path: Path) -> str:
    """The path as one types it in the clone: relative to its root where it is inside."""
    path = Path(os.path.realpath(path))  # Path.resolve fails where links go in a circle
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def code_version() -> str | None:
    """The first 12 digits of the commit, with "+" if the code differs from it; None outside git."""
    code = _code(ROOT)
    return code["sha"] and code["sha"][:12] + "+" * code["dirty"]


def _code(root: Path) -> dict[str, Any]:
    """Commit and state of the clone. Changes in results/ do not count: they are not code."""
    if _git(root, "rev-parse", "--show-prefix") != "":  # not git, or inside somebody else's clone
        return {"sha": None, "dirty": None}
    status = _git(root, "status", "--porcelain", "--", ".", ":(exclude)results")
    return {"sha": _git(root, "rev-parse", "--verify", "HEAD"), "dirty": status != ""}


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None if git is absent or fails."""
    try:
        result = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def _command(arguments: list[str], script: str, root: Path) -> str:
    """The command line without paths of this machine, those of the interpreter included."""
    words = ["python"]
    for word in arguments[1:]:
        option, equals, value = word.partition("=") if word.startswith("-") else ("", "", word)
        path = Path(os.path.realpath(value))  # Path.resolve fails where links go in a circle
        if Path(value).is_absolute() or path == Path(script).resolve():
            inside = path.is_relative_to(root)
            value = path.relative_to(root).as_posix() if inside else path.name
        words.append(option + equals + value)
    return shlex.join(words)


def _versions() -> dict[str, str]:
    import torch

    # Its metadata leave out for which CUDA it was built.
    found = {"python": platform.python_version(), "torch": str(torch.__version__)}
    return found | {name: importlib.metadata.version(name) for name in ("numpy", "scipy")}


def _hardware() -> dict[str, Any]:
    import torch  # slow, and only a manifest needs it

    num_gpus = torch.cuda.device_count()
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpu": torch.cuda.get_device_name(0) if num_gpus else None,
        "num_gpus": num_gpus,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not POSIX
        return None
    return round(size / 2**30, 1)
