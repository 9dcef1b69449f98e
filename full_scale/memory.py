"""How much memory a run will take, before it takes it."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

GIB = 2**30


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
    return min(kilobytes["MemAvailable"] * 1024, _limit())


def peak_memory(device: torch.device) -> int | None:
    """Largest number of bytes that torch has held on a GPU so far; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _limit() -> int:
    """What the container allows, or all that is installed."""
    installed = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return installed
    return installed if text == "max" else min(installed, int(text))


def require_fits(estimate: Estimate, free: int | None) -> None:
    """Raise a ValueError with the estimate if it does not fit."""
    if free is not None and estimate.total > free:
        raise ValueError(
            f"the run needs about {estimate}; {free / GIB:.2f} GiB are free: use a smaller "
            "--micro-batch, fewer --num-latents, --strategy fsdp over more processes, or "
            "--no-check-memory"
        )
