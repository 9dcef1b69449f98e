"""What the training objective must be made of, what it draws, and what it returns."""

from typing import NamedTuple

from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_number, require_callable, require_type
from di4c.network_call import check_same_states
from di4c.processes import ForwardProcess
from di4c.recipes import Recipe, SeparateDistillation


class Draws(NamedTuple):
    """All random draws of one evaluation, except the samples of the teacher and of the target.

    Attributes:
        t: times, (B,).
        u: earlier times, (B,).
        x_t: states at t, (B, D).
        latents: latents of the student at t, (B, L, ...).
        target_latents: latents of the student at u, one for each target atom, (B, K, ...).
    """

    t: Float[Tensor, "batch"]
    u: Float[Tensor, "batch"]
    x_t: Int[Tensor, "batch dim"]
    latents: Tensor
    target_latents: Tensor


class Objective(NamedTuple):
    """The loss of each example.

    Attributes:
        loss: (B,), the sum of the terms.
        terms: the weighted terms by name (`TERMS`), each (B,).
    """

    loss: Float[Tensor, "batch"]
    terms: dict[str, Float[Tensor, "batch"]]


TERMS = (
    "distillation",
    "data_correlation",
    "data_marginal",
    "consistency_correlation",
    "consistency_marginal",
    "start",
    "kept",
)


def check_networks(process: ForwardProcess, **networks: object) -> None:
    """Raise an error unless each network can be called, and was made for the same states.

    Args:
        process: forward process.
        **networks: the networks by their names; a target may be None.
    """
    for name, network in networks.items():
        if network is not None or name != "target":
            require_callable(name, network)
            check_same_states(name, network, process)


def check_settings(
    horizon: float, recipe: Recipe, teacher_latents: int, reference_steps: int
) -> None:
    """Raise an error unless the settings of an objective fit its recipe and its horizon.

    Args:
        horizon: the last time of the process.
        recipe: the recipe.
        teacher_latents: see `di4c.objective.Di4CObjective`.
        reference_steps: see `di4c.objective.Di4CObjective`.
    """
    require_type("recipe", recipe, Recipe, "a Recipe")
    check_count("teacher_latents", teacher_latents, 0)
    check_count("reference_steps", reference_steps, 0)
    if teacher_latents not in (0, recipe.num_atoms):
        raise ValueError(
            f"teacher_latents must be 0 (product teacher) or the number of target atoms, "
            f"{recipe.num_atoms}, one for each x_u; got {teacher_latents}"
        )
    if reference_steps and recipe.noises_data:
        raise ValueError(
            f"reference_steps = {reference_steps} generates x_t without an x_0, but data_weight is "
            f"{recipe.data_weight} and kept is {recipe.kept}: use Weight(0.0) and kept=None, or "
            "reference_steps=0"
        )
    rule, times = recipe.distillation, f"[0, {horizon}]"
    check_number("distillation.time", rule.time, times, "it is a time of the process")
    if isinstance(rule, SeparateDistillation) and rule.last is not None:
        check_number("distillation.last", rule.last, times, "it is a time of the process")
