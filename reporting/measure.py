"""Time and memory of a computation, and a fresh process to measure it in."""

import ctypes
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# With these settings of glibc, every block above 64 KiB comes from the system and goes back at
# once. Otherwise glibc keeps freed blocks for later, and the process seems to hold more memory.
_LEAN_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


class Meter:
    """Wall time and additional peak memory of the code inside `with`.

    Memory is the peak inside the block minus what was held at its beginning. On the CPU it is the
    resident memory of the process, on a GPU the memory of torch's allocator. A result counts if it
    is still held at the end of the block.

    Args:
        device: "cpu" or "cuda".

    Attributes:
        seconds: wall time; 0 before the block.
        memory: bytes; 0 before the block, None where the system does not tell (only Linux does).
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = device
        self.seconds = 0.0
        self.memory: int | None = 0

    def __enter__(self) -> "Meter":
        self._before = _restart_peak(self.device)
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        _wait(self.device)
        self.seconds = time.perf_counter() - self._started
        self.memory = None if self._before is None else max(0, _peak(self.device) - self._before)


def seconds_of(
    calls: Mapping[str, Callable[[], object]],
    rounds: int,
    device: str = "cpu",
    title: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Times of each call, one for each round.

    A round makes every call once. The order rotates from round to round, so that a disturbance of
    the machine meets all calls alike. One more round comes first, untimed, to warm up.

    Args:
        calls: functions by name.
        rounds: timed rounds.
        device: "cpu" or "cuda", where the calls compute.
        title: of a progress bar; no bar if left out.
        clock: wall time in seconds by default. `time.process_time` is the time that the CPU spent
            on this process, which other processes change little.
    """
    from tqdm import tqdm

    seconds: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in tqdm(range(rounds + 1), desc=title, leave=False, disable=title is None):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            _wait(device)
            started = clock()
            calls[name]()
            _wait(device)
            if number:
                seconds[name].append(clock() - started)
    return seconds


def in_fresh_process(function: Callable[..., Any], *args: Any, lean: bool = False) -> Any:
    """Call a function in a new interpreter and return its result.

    Args:
        function: a function that can be imported; arguments and result can be pickled.
        *args: its arguments.
        lean: let the process give freed memory back at once. This is slower, and makes
            measurements of memory exact.

    Raises:
        RuntimeError: If the process ends without a result, for example by a signal.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_result, args=(sender, function, args), daemon=True)
    before = {name: os.environ.get(name) for name in _LEAN_ENVIRONMENT}
    try:
        if lean:
            os.environ.update(_LEAN_ENVIRONMENT)  # read when the process starts
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


def _send_result(sender: Any, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    sender.send(function(*args))


def _restart_peak(device: str) -> int | None:
    """Lower the recorded peak to what is held now; its bytes, or None where there is no record."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    try:
        # Memory that the allocator keeps from earlier work would be used again, unseen.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    return _peak(device)


def _peak(device: str) -> int:
    """Bytes at the recorded peak."""
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def _wait(device: str) -> None:
    """Wait until a GPU has done all that it was asked to do."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()
