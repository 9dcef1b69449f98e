"""The log of a training run: one JSON row every `log_every` steps, and a tracker on request.

log.jsonl holds what was computed: loss terms, norm of the gradient, diagnostics. It depends on the
configuration alone, so that a run which was stopped and resumed writes the same bytes. clock.jsonl
holds the speed and the peak memory, which differ from run to run.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from torch import Tensor

from di4c.diagnostics import LossLog
from reporting import append_row
from reporting.files import write_whole
from reporting.typed import Within, read_rows_as

LOG, CLOCK = "log.jsonl", "clock.jsonl"


class _Row(TypedDict):
    """What every row has."""

    step: Annotated[int, Within(1)]


class Logbook:
    """Collects values and writes them as rows.

    Args:
        folder: folder of the run.
        send: gets each row and its step as well, for an experiment tracker.
        writes: whether this process writes to the disk; True only in the first process.
    """

    def __init__(
        self,
        folder: Path,
        *,
        send: Callable[[dict[str, Any], int], None] | None = None,
        writes: bool = True,
    ) -> None:
        self.folder, self.writes, self._send = folder, writes, send
        self.pending: dict[str, Tensor] = {}
        self.started, self.clocked = time.perf_counter(), 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Keep values of each name, one for each example or step, until the next row."""
        for name, value in values.items():
            value = value.detach().double().flatten().cpu()
            self.pending[name] = torch.cat([self.pending.get(name, value[:0]), value])

    def row(self, step: int, numbers: Mapping[str, float | bool | None]) -> dict[str, Any]:
        """Write a row with means, standard errors and further numbers. Clear the collected values.

        Args:
            step: number of steps taken.
            numbers: further numbers of the row.

        Raises:
            ValueError: If a value is not finite. The message names it.
        """
        log = LossLog()
        log.update(self.pending)
        row: dict[str, Any] = {"step": step}
        for name, summary in log.summary().items():
            row[name] = summary.mean
            if summary.examples > 1:
                row[f"{name}_error"] = summary.standard_error
        row |= numbers
        self.pending = {}
        if self.writes:
            append_row(self.folder / LOG, row)
            self._track(row)
        return row

    def clock(
        self, step: int, peak_memory: int | None, examples: int, operations: float | None = None
    ) -> dict[str, Any]:
        """Write a row with the speed since the last row or the start.

        Args:
            step: number of steps taken.
            peak_memory: bytes, of this process; None where the device does not report them.
            examples: number of examples of a step, over all processes.
            operations: floating-point operations of a step over all processes, as
                `full_scale.training.cost` counts them; None if they are not counted.

        Returns:
            The row: seconds of a step, examples and 10^12 operations per second, memory in GiB.
        """
        now = time.perf_counter()
        seconds = (now - self.started) / (step - self.clocked)
        self.started, self.clocked = now, step
        row = {
            "step": step,
            "seconds_per_step": seconds,
            "examples_per_second": examples / seconds,
            "tflop_per_second": None if operations is None else operations / seconds / 1e12,
            "peak_memory_gib": None if peak_memory is None else peak_memory / 2**30,
        }
        if self.writes:
            append_row(self.folder / CLOCK, row)
            self._track(row)
        return row

    def _track(self, row: dict[str, Any]) -> None:
        if self._send is not None:
            shown = {k: v for k, v in row.items() if k != "step" and v is not None}
            self._send(shown, row["step"])

    def state(self) -> dict[str, Tensor]:
        """The values that no row includes yet, for a checkpoint."""
        return dict(self.pending)

    def resume(self, step: int, state: Mapping[str, Tensor]) -> None:
        """Go back to a checkpoint: drop the rows after its step and restore its pending values."""
        self.pending = dict(state)
        self.clocked = step
        if self.writes:
            for name in (LOG, CLOCK):
                _drop_rows_after(self.folder / name, step)


def _drop_rows_after(path: Path, step: int) -> None:
    """Cut a JSONL file after its last row of that step or an earlier one."""
    if not path.exists():
        return
    kept = sum(row["step"] <= step for row in read_rows_as(path, _Row))
    lines = path.read_bytes().splitlines(keepends=True)[:kept]
    write_whole(path, b"".join(lines))


def in_bar(row: dict[str, Any]) -> dict[str, str]:
    """What the progress bar shows of a row."""
    return {name: f"{row[key]:.4g}" for key, name in _IN_BAR.items() if row.get(key) is not None}


_IN_BAR = {
    "loss": "loss",
    "gradient_norm": "gradient_norm",
    "captured_correlation": "captured_correlation",
    "effective_components": "effective_components",
    "examples_per_second": "examples/s",
    "tflop_per_second": "TFLOP/s",
}


def require_tracker(name: str | None) -> None:
    """Check that the package of an experiment tracker is installed.

    Raises:
        ValueError: If it is missing. Accelerate would go on without it.
    """
    if name is not None and name not in {str(known) for known in get_available_trackers()}:
        raise ValueError(
            f"reports.track is {name}, and its package is missing; install it with: pip install "
            f"{name}, or leave out --reports.track"
        )


def start_tracker(accelerator: Accelerator, name: str, run: str, options: dict[str, Any]) -> None:
    """Start an experiment tracker, which `Accelerator.log` then serves. A resumed run goes on.

    Args:
        accelerator: made with `log_with` and `project_dir`.
        name: name of the tracker.
        run: name of the run.
        options: configuration of the run, in JSON's types.
    """
    if name == "tensorboard":  # it has no names of runs, and writes tables of options on its own
        accelerator.init_trackers("tensorboard")
        return
    about = {name: {"name": run, "resume": "allow"}}
    accelerator.init_trackers("di4c", config=options, init_kwargs=about)
