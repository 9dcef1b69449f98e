"""The methods of the benchmark: each is a line of the registry below.

A method takes a `Setting` and the numbers of network evaluations to ask for. It yields an `Output`
with the exact law for each of them; see `toys.tasks.setting`. To add one, write its function, in a
file of this folder if it needs one, and add a line here.
"""

from functools import partial

from toys.methods import (
    confidence,
    di4c_squared,
    hybrid,
    jump_your_steps,
    optimal_grid,
    published,
    rectified,
    sdtt,
    sequential,
    teacher,
)
from toys.students.jump_training import JumpOptions, jump_outputs
from toys.tasks.setting import Method


def _jumps(title: str, **options: str | bool) -> Method:
    """Di4C with the benchmark's own settings, or with some of them changed."""
    return Method(title, partial(jump_outputs, options=JumpOptions(**options)), trained=True)


def _published(title: str, **options: bool) -> Method:
    """Di4C with a published recipe, or without a part of it."""
    return Method(title, partial(published.outputs, **options), trained=True)


METHODS: dict[str, Method] = {
    "teacher": Method("teacher, equal steps", teacher.outputs, teacher.STEPS),
    "jump-your-steps": Method(
        "teacher, Jump-Your-Steps grid", jump_your_steps.outputs, jump_your_steps.STEPS
    ),
    "optimal-grid": Method("teacher, best time grid", optimal_grid.outputs, optimal_grid.STEPS),
    "sequential": Method("one coordinate per call", sequential.outputs, processes=("masked",)),
    "confidence": Method(
        "MaskGIT confidence sampler", confidence.outputs, confidence.STEPS, processes=("masked",)
    ),
    "sdtt": Method("SDTT (product student)", sdtt.outputs, trained=True),
    "data-likelihood": _jumps("data likelihood alone", consistency=False, data=True),
    "published": _published("Di4C, published recipe"),
    "published-d": _published("Di4C-d, published recipe", data=True),
    "no-control-variate": _published("published, no control variate", control_variate=False),
    "di4c": _jumps("Di4C, no data term"),
    "di4c-d": _jumps("Di4C-d, 256 categories", data=True),
    "di4c-squared": Method("Di4C, second round", di4c_squared.outputs, trained=True),
    "di4c-d-scalar": _jumps("Di4C-d, scalar latent", data=True, latent="scalar"),
    "di4c-d-gaussian": _jumps("Di4C-d, 8 Gaussians", data=True, latent="gaussian"),
    "di4c-d-position": _jumps("Di4C-d, noise per position", data=True, latent="position"),
    "rectified": Method(
        "ReDi (rectified pairs)", rectified.outputs, trained=True, processes=("uniform",)
    ),
    "hybrid": Method("Di4C first, then teacher", hybrid.outputs, trained=True),
}
"""The rows of the leaderboard; `--method` takes these names, and records keep them."""


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If there is none; the message lists all names.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]
