"""The N-step exact teacher on a law of real data, for several processes; shared by the scripts."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from di4c.exact.limits import limit_n_tv
from di4c.processes import ForwardProcess
from di4c.schedules import uniform_grid
from reporting import format_table
from toys.teachers.curves import few_step_rows

COLUMNS = {
    "process": ("process", "s"),
    "steps": ("N", "d"),
    "tv": ("TV", ".6f"),
    "n_tv": ("N TV", ".5f"),
}


def curve(
    name: str, process: ForwardProcess, q_0: Tensor, steps: Sequence[int], law: str
) -> dict[str, Any]:
    """TV and N TV for each N on the uniform grid, with the predicted limit of N TV.

    Returns:
        {"process", "rows", "limit", "limit_reason"}; the limit is None, with the reason, where the
        hypotheses of the general formula do not hold.
    """
    rows = few_step_rows(
        process, q_0, steps, lambda n: uniform_grid(n, process.horizon), title=f"{law}, {name}"
    )
    try:
        limit, reason = limit_n_tv(process, q_0), "general formula"
    except ValueError as error:
        limit, reason = None, str(error)
    return {"process": name, "rows": rows, "limit": limit, "limit_reason": reason}


def show(law: Mapping[str, Any]) -> None:
    """Print one law and its curves."""
    print(
        f"\n{law['law']}: total correlation {law['total_correlation']:.4f} nats, D = {law['dims']}"
    )
    print(f"states of positive probability: {law['support']} of {law['states']}")
    rows = [{"process": c["process"]} | row for c in law["curves"] for row in c["rows"]]
    print(format_table(rows, COLUMNS))
    for run in law["curves"]:
        known = (
            f"{run['limit']:.5f}" if run["limit"] is not None else f"none: {run['limit_reason']}"
        )
        print(f"limit of N TV, {run['process']}: {known}")
