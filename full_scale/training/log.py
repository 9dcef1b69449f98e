"""The log of a training run: one JSON row every `log_every` steps, and TensorBoard on request.

log.jsonl holds what was computed: loss terms, norm of the gradient, diagnostics. It depends on the
configuration alone, so that a run which was stopped and resumed writes the same bytes. clock.jsonl
holds seconds per step and peak memory, which differ from run to run.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from di4c.diagnostics import LossLog
from reporting import append_row, read_rows
from reporting.files import write_whole

LOG, CLOCK = "log.jsonl", "clock.jsonl"


class Logbook:
    """Collects values and writes them as rows.

    Args:
        folder: folder of the run.
        tensorboard: whether to write TensorBoard events as well, to folder/tensorboard.
        writes: whether this process writes to the disk; True only in the first process.
    """

    def __init__(self, folder: Path, *, tensorboard: bool = False, writes: bool = True) -> None:
        self.folder, self.writes = folder, writes
        self.pending: dict[str, Tensor] = {}
        self.started, self.clocked = time.perf_counter(), 0
        self._events = _events(folder / "tensorboard") if tensorboard and writes else None

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
            if self._events is not None:
                for name, value in row.items():
                    if name != "step" and value is not None:
                        self._events.add_scalar(name, value, step)
                self._events.flush()
        return row

    def clock(self, step: int, peak_memory: int | None) -> None:
        """Write the seconds per step since the last row or the start, and peak memory in bytes."""
        now = time.perf_counter()
        seconds, steps = now - self.started, step - self.clocked
        self.started, self.clocked = now, step
        if self.writes:
            gib = None if peak_memory is None else peak_memory / 2**30
            row = {"step": step, "seconds_per_step": seconds / steps, "peak_memory_gib": gib}
            append_row(self.folder / CLOCK, row)

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
    kept = sum(row["step"] <= step for row in read_rows(path))
    lines = path.read_bytes().splitlines(keepends=True)[:kept]
    write_whole(path, b"".join(lines))


def _events(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError(
            "tensorboard is missing; install it with: pip install -e '.[full-scale]', or leave out "
            "--tensorboard"
        ) from None
    return SummaryWriter(folder)
