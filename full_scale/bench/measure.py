"""One case of a benchmark, and its time and memory. `reporting.measure` does the measuring."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch

from reporting.measure import Meter, seconds_of

MIB = 2**20


@dataclass(frozen=True)
class Case:
    """What is measured, how large it is, and where it runs.

    Attributes:
        experiment: "cifar10", "imagenet" or "openwebtext"; "loss" for the losses alone.
        batch: examples or samples at once.
        sizes: fields of the network that differ from the published ones, none at full size. For
            the losses alone: the shapes.
        num_latents: L, latents of each example; for losses and training steps.
        steps: n, as the experiment counts sampling steps; for generation.
        device: "cpu" or "cuda".
        precision: type of the tensors of a loss; with "bfloat16", networks run under autocast.
        threads: number of CPU threads.
        seed: seed of weights, data and random draws.
    """

    experiment: str
    batch: int
    sizes: dict[str, Any]
    num_latents: int | None = None
    steps: int | None = None
    device: str = "cpu"
    precision: str = "float32"
    threads: int = 2
    seed: int = 0


class Workload(ABC):
    """Something to measure. Each method without arguments is one call.

    Args:
        case: what to build.
    """

    def __init__(self, case: Case) -> None:
        torch.set_num_threads(case.threads)
        self.case = case

    @staticmethod
    @abstractmethod
    def small(case: Case) -> Case:
        """A small version of the case, whose call starts all libraries and threads."""


def memory(workload: type[Workload], case: Case, method: str) -> int | None:
    """Additional bytes at the peak of one call; None if the device has too little memory.

    Raises:
        ValueError: If the system does not report the memory of a process.
    """
    getattr(workload(workload.small(case)), method)()
    call = getattr(workload(case), method)
    try:
        with Meter(case.device) as meter:
            result = call()
    except torch.OutOfMemoryError:
        return None
    del result
    if meter.memory is None:
        raise ValueError("peak memory is read from /proc, which this system lacks")
    return meter.memory


def seconds(
    workload: type[Workload],
    case: Case,
    methods: tuple[str, ...],
    rounds: int,
    title: str | None = None,
) -> dict[str, list[float]]:
    """Wall times of each method's call, one for each round (`reporting.measure.seconds_of`)."""
    built = workload(case)
    calls = {name: getattr(built, name) for name in methods}
    return seconds_of(calls, rounds, case.device, title)


def check_device(device: str) -> None:
    """Raise a ValueError unless torch sees the device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "--device is cuda and torch sees no GPU: leave out --device to run on the CPU"
        )
