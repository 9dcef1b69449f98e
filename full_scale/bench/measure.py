"""Time and memory of a call, each in a process of its own."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

# Every block of more than this goes straight to the system and back, so that the process holds what
# is alive and nothing else. Without it glibc keeps freed blocks for later, at its own discretion.
_MEMORY_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def in_fresh_process(function: Callable[..., Any], *args: Any, lean: bool = False) -> Any:
    """What a function of a module returns in a new interpreter.

    Args:
        function: importable; its arguments and result can be pickled.
        *args: its arguments.
        lean: give freed memory back at once; slower, for measuring memory.

    Raises:
        RuntimeError: If the process dies, by a signal for example.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(sender, function, args), daemon=True)
    before = {name: os.environ.get(name) for name in _MEMORY_ENVIRONMENT}
    try:
        if lean:
            os.environ.update(_MEMORY_ENVIRONMENT)  # read at the start of the process
        process.start()
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        process.join()
        name = getattr(function, "__name__", function)
        raise RuntimeError(f"{name} died with exit code {process.exitcode}") from None
    process.join()
    return result


def _report(sender: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    sender.send(function(*args))


def extra_memory(call: Callable[[], Any], device: str) -> int:
    """Bytes at the peak of a call above what was held before it; its result counts.

    On a GPU what the allocator handed out, elsewhere the resident memory of the process.

    Raises:
        ValueError: If neither is known on this system.
    """
    if device == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    except OSError:
        raise ValueError("peak memory is read from /proc, which this system lacks") from None
    before = _resident("VmRSS")
    result = call()
    peak = _resident("VmHWM")
    del result
    return peak - before


def _resident(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024


def median_seconds(
    calls: Mapping[str, Callable[[], Any]], repeats: int, device: str
) -> dict[str, float]:
    """Median wall time of each call; they take turns, so that a disturbance meets them all."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            _wait(device)
            started = time.perf_counter()
            call()
            _wait(device)
            if repeat:  # the first round warms up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
