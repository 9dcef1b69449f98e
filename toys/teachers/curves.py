"""Total variation of the N-step exact product teacher on a known law, for each N."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from tqdm import tqdm

from di4c.exact import product_composition, total_variation
from di4c.exact.limits import limit_n_tv
from di4c.processes import ForwardProcess
from di4c.schedules import uniform_grid
from reporting import format_table

Row = dict[str, Any]

COLUMNS = {
    "process": ("process", "s"),
    "steps": ("N", "d"),
    "tv": ("TV", ".6f"),
    "n_tv": ("N TV", ".5f"),
}


def few_step_rows(
    process: ForwardProcess,
    q_0: Tensor,
    steps: Sequence[int],
    make_grid: Callable[[int], Tensor],
    start: str = "q_T",
    title: str | None = None,
) -> list[Row]:
    """Total variation of the marginal-matching product sampler after N steps, for each N.

    Args:
        process: forward process.
        q_0: data law, (num_values^D,).
        steps: the numbers of steps.
        make_grid: from N to the grid of N + 1 times.
        start: "q_T" or "prior".
        title: of the progress bar, None for no bar.

    Returns:
        Rows {"steps", "tv", "n_tv"} in the order of `steps`.
    """
    rows = []
    with tqdm(
        total=sum(steps), desc=title, unit="step", disable=True if title is None else None
    ) as bar:

        def counted(indices: list[int]) -> Iterator[int]:
            for index in indices:
                yield index
                bar.update()

        for n in steps:
            output = product_composition(process, q_0, make_grid(n), start, counted)
            tv = float(total_variation(q_0, output))
            rows.append({"steps": n, "tv": tv, "n_tv": n * tv})
    return rows


def teacher_curve(
    name: str, process: ForwardProcess, q_0: Tensor, steps: Sequence[int], law: str
) -> dict[str, Any]:
    """TV and N TV for each N on the uniform grid, with the predicted limit of N TV.

    Args:
        name: of the process.
        process: forward process.
        q_0: data law, (num_values^D,).
        steps: the numbers of steps.
        law: name of the law, for the progress bar.

    Returns:
        {"process", "rows", "limit", "limit_reason"}; if the hypotheses of the general formula do
        not hold, the limit is None and the reason says why.
    """
    rows = few_step_rows(
        process, q_0, steps, lambda n: uniform_grid(n, process.horizon), title=f"{law}, {name}"
    )
    try:
        limit, reason = limit_n_tv(process, q_0), "general formula"
    except ValueError as error:
        limit, reason = None, str(error)
    return {"process": name, "rows": rows, "limit": limit, "limit_reason": reason}


def print_curves(law: Mapping[str, Any]) -> None:
    """Print the key numbers of a law of real data, and its curves as a table."""
    print(
        f"\n{law['law']}: total correlation {law['total_correlation']:.4f} nats, D = {law['dims']}"
    )
    print(f"states of positive probability: {law['support']} of {law['states']}")
    rows = [{"process": c["process"]} | row for c in law["curves"] for row in c["rows"]]
    print(format_table(rows, COLUMNS))
    for curve in law["curves"]:
        limit = curve["limit"]
        known = f"none: {curve['limit_reason']}" if limit is None else f"{limit:.5f}"
        print(f"limit of N TV, {curve['process']}: {known}")
