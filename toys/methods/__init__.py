"""The methods of the benchmark: one file each, and one line each here.

The functions take a `Problem` and the numbers of network evaluations asked for, and yield an
`Output` with the exact law for each (`toys.methods.base`).
"""

from toys.methods import confidence, jump_your_steps, optimal_grid, sequential, teacher
from toys.methods.base import Method

METHODS: dict[str, Method] = {
    "teacher": Method("product teacher, uniform grid", teacher.outputs, teacher.STEPS),
    "jump-your-steps": Method(
        "product teacher, grid of least total correlation",
        jump_your_steps.outputs,
        jump_your_steps.STEPS,
    ),
    "optimal-grid": Method(
        "product teacher, grid of least TV", optimal_grid.outputs, optimal_grid.STEPS
    ),
    "sequential": Method("one coordinate a step", sequential.outputs, processes=("masked",)),
    "confidence": Method(
        "MaskGIT's greedy sampler, exact teacher",
        confidence.outputs,
        confidence.STEPS,
        processes=("masked",),
    ),
}


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If there is none; lists those that there are.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]
