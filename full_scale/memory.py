"""How much memory a run will take, before it takes it."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch

GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")
_CONTAINER = (  # files of its limit and its use, key of its statistics: version 2, version 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True)
class Estimate:
    """Bytes on one device.

    Attributes:
        weights: of the student, with its gradient, two moments and the average; float32.
        teacher: its weights.
        activations: what autograd keeps of one micro-batch.
    """

    weights: float
    teacher: float
    activations: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.weights + self.teacher + self.activations

    def __str__(self) -> str:
        return (
            f"{self.total / GIB:.2f} GiB a device: student {self.weights / GIB:.2f} (weights, "
            f"gradient, two moments, average), teacher {self.teacher / GIB:.2f}, activations of a "
            f"micro-batch {self.activations / GIB:.2f}"
        )


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on the device; None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
    return int(min(kilobytes["MemAvailable"] * 1024, _left()))


def peak_memory(device: torch.device) -> int | None:
    """Largest number of bytes that torch has held on a GPU so far; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _left() -> float:
    """What the container may still take; infinite where it has no limit.

    Its use counts files that were read, too, of which inactive ones give way at once.
    """
    for limit, use, inactive in _CONTAINER:
        try:
            allowed = (_CGROUP / limit).read_text().strip()
            used = int((_CGROUP / use).read_text())
            lines = (_CGROUP / limit).with_name("memory.stat").read_text().splitlines()
        except OSError:
            continue
        if allowed == "max":
            return math.inf
        given_back = int(dict(line.split() for line in lines).get(inactive, 0))
        return max(0, int(allowed) - used + given_back)
    return math.inf


def require_fits(estimate: Estimate, free: int | None) -> None:
    """Raise a ValueError with the estimate if it does not fit."""
    if free is not None and estimate.total > free:
        raise ValueError(
            f"the run needs about {estimate}; {free / GIB:.2f} GiB are free: use a smaller "
            "--micro-batch, fewer --num-latents, --strategy fsdp over more processes, or "
            "--no-check-memory"
        )
