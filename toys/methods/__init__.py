"""The methods of the benchmark: one file each, and one line each here.

The functions take a `Problem` and the numbers of network evaluations asked for, and yield an
`Output` with the exact law for each (`toys.tasks.problem`).
"""

from functools import partial

from toys.methods import (
    confidence,
    data_likelihood,
    di4c,
    di4c_data,
    di4c_squared,
    hybrid,
    jump_your_steps,
    no_control_variate,
    optimal_grid,
    published,
    rectified,
    sdtt,
    sequential,
    teacher,
)
from toys.tasks.problem import Method

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
    "sdtt": Method("product student, distilled step by step", sdtt.outputs, trained=True),
    "data-likelihood": Method("mixture, data only", data_likelihood.outputs, trained=True),
    "published": Method("Di4C, published recipe", published.outputs, trained=True),
    "published-d": Method(
        "Di4C-d, published recipe", partial(published.outputs, data=True), trained=True
    ),
    "no-control-variate": Method(
        "Di4C without control variate", no_control_variate.outputs, trained=True
    ),
    "di4c": Method("Di4C", di4c.outputs, trained=True),
    "di4c-d": Method("Di4C with data term", di4c_data.outputs, trained=True),
    "di4c-squared": Method("Di4C, second round", di4c_squared.outputs, trained=True),
    "di4c-d-scalar": Method(
        "Di4C-d, scalar uniform latent", partial(di4c_data.outputs, latent="scalar"), trained=True
    ),
    "di4c-d-gaussian": Method(
        "Di4C-d, 8 Gaussians as latent",
        partial(di4c_data.outputs, latent="gaussian"),
        trained=True,
    ),
    "di4c-d-position": Method(
        "Di4C-d, noise for each position",
        partial(di4c_data.outputs, latent="position"),
        trained=True,
    ),
    "rectified": Method(
        "product student on rectified pairs",
        rectified.outputs,
        trained=True,
        processes=("uniform",),
    ),
    "hybrid": Method("Di4C first, then the teacher", hybrid.outputs, trained=True),
}


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If there is none; lists those that there are.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]
