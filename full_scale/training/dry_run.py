"""What `--dry-run` prints: configuration, parameters, memory, hours, and what is still missing."""

import json
import re

from full_scale.models.run_weights import CHECKPOINTS
from full_scale.training.assemble import assemble
from full_scale.training.checkpoint import latest_checkpoint
from full_scale.training.config import as_json
from full_scale.training.cost import Outline

_SUSTAINED = {"cpu": 5e10, "gpu": 5e13}  # operations per second, to estimate the hours
_FUNCTION = re.compile(r"<function (\w+) at \w+>")  # a function in a repr


def describe(plan: Outline, num_processes: int) -> None:
    """Print configuration and parameter counts as JSON, then the costs and what is missing."""
    run = plan.run
    last = latest_checkpoint(run.out / CHECKPOINTS)
    data: dict[str, int] = {}
    missing = None
    try:
        opened = assemble(run).data
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
    total = run.steps * plan.operations()
    speed = _SUSTAINED["cpu" if run.device == "cpu" else "gpu"]
    print(
        f"work: {plan.operations():.2g} operations a step, {total:.2g} in all: about "
        f"{total / num_processes / speed / 3600:.2g} hours if a device sustains {speed:.0e} "
        "operations per second (the speed of yours depends on its kind and on --precision)"
    )
    if missing is not None:
        print(f"cannot start yet: {missing}")
