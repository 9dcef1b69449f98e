"""What `--dry-run` prints: configuration, parameters, memory, hours, and what is still missing."""

import json
import re
from collections.abc import Callable
from typing import Any

from full_scale.data.order import fitting
from full_scale.models.run_weights import CHECKPOINTS
from full_scale.training.assemble import assemble
from full_scale.training.checkpoint import latest_checkpoint
from full_scale.training.config import as_json
from full_scale.training.cost import PRECISIONS, SUSTAINED, Outline

_FUNCTION = re.compile(r"<function (\w+) at \w+>")  # a function in a repr


def describe(plan: Outline, num_processes: int, opens: Callable[[Any], Any] = assemble) -> None:
    """Print configuration and parameter counts as JSON, then the costs and what is missing.

    Args:
        plan: what the run costs.
        num_processes: number of processes that share it.
        opens: opens its parts, to say what is missing.
    """
    run = plan.run
    last = latest_checkpoint(run.out / CHECKPOINTS)
    data: dict[str, int] = {}
    missing = None
    try:
        opened = opens(run).data
        data = {"items": len(opened), "num_dims": opened.num_dims}
    except (FileNotFoundError, ValueError) as error:
        missing = str(error)
    described = {
        "run": as_json(run),
        "recipe": None if run.recipe == "teacher" else _FUNCTION.sub(r"\1", repr(run.di4c_recipe)),
        "data": data or None,
        "parameters": plan.parameters(),
        "resumes": None if last is None else last.name,
    }
    print(json.dumps(described, indent=2))
    print(f"memory: about {plan.estimate(num_processes, data.get('num_dims'))}")
    operations = plan.operations()
    used = "cpu" if run.device == "cpu" else run.precision
    print(
        f"work: {operations:.2g} operations a step, {run.steps * operations:.2g} in all, in "
        f"{PRECISIONS[run.precision]}: about {plan.hours(used, num_processes):.2g} hours if a "
        f"device sustains {SUSTAINED[used]:.0e} operations per second. That is an assumption; "
        "clock.jsonl has the measured speed"
    )
    print(
        f"processes: {fitting(run.parts)} can share a step, which has {run.parts} micro-batches of "
        f"{run.micro_batch}"
    )
    if missing is not None:
        print(f"cannot start yet: {missing}")
