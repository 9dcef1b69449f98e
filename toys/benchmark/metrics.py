"""The metrics of the benchmark, all exact: how far the law of a method is from the truth."""

import math
import time
from typing import Any

import torch
from torch import Tensor

from di4c.exact import kl, total_correlation, total_variation
from toys.tasks.setting import Method, Output, Setting

_SUM_TOLERANCE = 1e-9
_PICTURE_VALUES = 64  # rows keep two-dimensional laws of at most so many values, for pictures
_PICTURE_DIGITS = 7  # digits of such a law

Row = dict[str, Any]


def evaluate(setting: Setting, name: str, method: Method, steps: tuple[int, ...]) -> list[Row]:
    """Run a method on a setting and measure its laws: one row per number of network evaluations.

    Args:
        setting: the law, the noise, the teacher and the budget.
        name: of the method, for errors.
        method: what to run.
        steps: the numbers of network evaluations to ask for.

    Returns:
        The values of `measure` and the fields of `Output`. `seconds` is the wall time since the
        method started or gave its last law. `law` is kept only where it makes a picture.

    Raises:
        ValueError: If the method returns anything but a law on the task's states; the message
            names the method.
    """
    task, rows = setting.task, []
    if setting.make_teacher is not None:
        _ = setting.teacher  # training it does not count as time of the method
    started = time.perf_counter()
    for output in method.outputs(setting, steps):
        output = output._replace(law=output.law.detach().double())
        check_output(output, setting, name)
        seconds = time.perf_counter() - started
        row = {"latent": output.latent, "nfe": output.nfe}
        row |= measure(setting.q_0, output.law, task.num_dims, task.num_values)
        row |= {"train_seconds": output.train_seconds, "parameters": output.parameters}
        row |= {"peak_memory": output.peak_memory, "seconds": seconds}
        row |= {"latent_refinement": output.latent_refinement}
        if task.num_dims == 2 and task.num_values <= _PICTURE_VALUES:
            row["law"] = [round(value, _PICTURE_DIGITS) for value in output.law.tolist()]
        rows.append(row)
        started = time.perf_counter()
    return rows


def check_output(output: Output, setting: Setting, method: str) -> None:
    """ValueError if an output is not a law on the task's states; the message names the method."""
    law, q_0 = output.law, setting.q_0
    where = f"method {method} on task {setting.task.name}, {setting.process_name}"
    if law.shape != q_0.shape:
        raise ValueError(
            f"{where} returned a law of shape {tuple(law.shape)}; it must have {len(q_0)} entries"
        )
    if not bool(torch.isfinite(law).all()) or bool((law < 0).any()):
        raise ValueError(
            f"{where} returned a law with an entry {float(law.min())}; entries must be finite and "
            "non-negative"
        )
    if abs(float(law.double().sum()) - 1) > _SUM_TOLERANCE:
        raise ValueError(
            f"{where} returned a law that sums to {float(law.double().sum())!r}; it must sum to 1"
        )
    if output.nfe < 1:
        raise ValueError(f"{where} returned nfe = {output.nfe}; it must be at least 1")


def measure(q_0: Tensor, law: Tensor, num_dims: int, num_values: int) -> dict[str, float | None]:
    r"""Distances of a law from the data law.

    Args:
        q_0: the data law, (S^D,).
        law: the law that a method generates, (S^D,).
        num_dims: D.
        num_values: S.

    Returns:
        tv: $d_{TV}(q_0, p)$.
        kl: $\mathrm{KL}(q_0 \| p)$ in nats; None where p misses a state of $q_0$ (infinite).
        captured_tc: $\mathrm{TC}(p) / \mathrm{TC}(q_0)$, the total correlation of the law, as
            `di4c.diagnostics` defines it, divided by that of the data: 0 for a product, 1 for the
            data law, None if the data have none.
        off_support: mass of p where $q_0 = 0$.
    """
    law = law.double()
    divergence = float(kl(q_0, law))
    correlation = float(total_correlation(q_0, num_dims, num_values))
    captured = float(total_correlation(law, num_dims, num_values))
    return {
        "tv": float(total_variation(q_0, law)),
        # Rounding errors may be negative.
        "kl": max(divergence, 0.0) if math.isfinite(divergence) else None,
        "captured_tc": captured / correlation if correlation > 1e-12 else None,
        "off_support": float(law[q_0 == 0].sum()),
    }
