"""Few-step samplers: ancestral, hybrid of student and teacher, tau-leaping.

All are functions with the signature (process, denoiser, start, grid, *, options).
`di4c.sampling_loop` defines what "n steps" means and which grid belongs to it. The confidence
sampler of MaskGIT is in `di4c.confidence`; it reveals positions by rank instead of by time.
"""

from collections.abc import Sequence

from jaxtyping import Bool, Int
from torch import Tensor

from di4c.checks import check_choice, check_count, require_callable, require_tensor
from di4c.denoisers import Denoiser
from di4c.jumps import poisson_jumps, single_jump
from di4c.latents import Latent
from di4c.likelihood.checks import check_shape
from di4c.network_call import entry
from di4c.processes import ForwardProcess
from di4c.rng import Generator, exponential_race
from di4c.sampling_loop import Callback, Calls, Samples, generate
from di4c.schedules import Time, check_grid


def ancestral(
    process: ForwardProcess,
    denoiser: Denoiser,
    start: Int[Tensor, "batch dim"],
    grid: Sequence[float] | Tensor,
    *,
    latent: Latent = None,
    last: str = "sample",
    uniforms: Sequence[Tensor] | Tensor | None = None,
    generator: Generator | None = None,
    callback: Callback | None = None,
    trajectory: bool = False,
    validate: bool = True,
    fixed: Bool[Tensor, "batch dim"] | None = None,
    valid: Bool[Tensor, "batch dim"] | None = None,
) -> Samples:
    r"""Ancestral sampling: draw $x_s \sim p_{s|t}(\cdot \mid x_t)$ at each step of the grid.

    $$p_{s|t}(\cdot \mid x_t) = \mathbb{E}_\lambda \prod_d p^d_{s|t}(\cdot \mid x_t; \lambda).$$

    Each step draws one latent for all dimensions, then $x_0 \sim p_{0|t}(\cdot \mid x_t; \lambda)$
    and $x_s \sim q_{s|0,t}(\cdot \mid x_0, x_t)$ (`ForwardProcess.reverse_step`). The law of the
    samples is that of `exact.mixture_composition`.

    Args:
        process: forward process.
        denoiser: see `di4c.denoisers`. It may also return log-probabilities over all states, if the
            mask has none.
        start: (B, D), states at the last time of the grid, e.g. from `prior_samples`; not changed.
        grid: (N + 1,), times from data to noise. The sampler makes N network calls.
        latent: a LatentPolicy, the latents themselves (one entry for each call), or None.
        last: what the last step returns: "sample" for a draw, "argmax" for the most likely value of
            each coordinate. For "argmax" the grid must start at 0.
        uniforms: uniform draws (B, D, num_states) for each step, to replay recorded runs. Each step
            then draws $x_s$ at once from $p_{s|t}(\cdot \mid x_t; \lambda)$ by the
            `exponential_race` of MDLM. The law of the samples is the same.
        generator: source of all randomness. With `SampleGenerators` a sample does not depend on the
            batch that it is part of.
        callback: called with a Step after each step, e.g. to show progress.
        trajectory: whether to return the states at all times.
        validate: whether to check the values of every output of the denoiser.
        fixed: which coordinates of start are given, such as a prompt, (B, D). They stay, and the
            others are drawn conditionally on them. Only for masked noise.
        valid: which coordinates are no padding, (B, D). Padding stays as it is in start.

    Returns:
        Samples, with states (B, D) at the first time of the grid.

    Raises:
        ValueError: If the grid does not increase, the start holds a number that is no state, the
            denoiser returns a wrong shape, NaN or values that are no log-probabilities, or there
            are fewer latents or uniforms than calls.

    Example:
        Two bits that always agree, from the masked state in one step: the exact product denoiser
        draws both bits independently.

        >>> import torch
        >>> from di4c import ExactDenoiser, MaskedProcess, ancestral
        >>> process = MaskedProcess(2)
        >>> agree = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
        >>> start = torch.full((1000, 2), process.mask_state)
        >>> denoiser, seed = ExactDenoiser(process, agree), torch.Generator().manual_seed(0)
        >>> bits = ancestral(process, denoiser, start, [0.0, 1.0], generator=seed).samples
        >>> 0.45 < float((bits[:, 0] == bits[:, 1]).double().mean()) < 0.55
        True
    """

    def move(probs: Tensor, x_t: Tensor, s: Time, t: Time, call: int) -> Tensor:
        if uniforms is None:
            return process.reverse_step(probs, x_t, s, t, generator=generator)
        draws = entry("uniforms", uniforms, call)
        weights = process.reverse(probs.double(), x_t, s, t)
        require_tensor("uniforms", draws)
        check_shape("uniforms", draws, tuple(weights.shape), "batch, dim, state")
        return exponential_race(weights, uniforms=draws)

    return generate(
        process,
        [Calls(denoiser, latent)],
        start,
        grid,
        move,
        last=last,
        generator=generator,
        callback=callback,
        trajectory=trajectory,
        validate=validate,
        fixed=fixed,
        valid=valid,
    )


def hybrid(
    process: ForwardProcess,
    student: Denoiser,
    start: Int[Tensor, "batch dim"],
    grid: Sequence[float] | Tensor,
    *,
    teacher: Denoiser,
    teacher_steps: int,
    latent: Latent = None,
    teacher_latent: Latent = None,
    last: str = "sample",
    generator: Generator | None = None,
    callback: Callback | None = None,
    trajectory: bool = False,
    validate: bool = True,
    fixed: Bool[Tensor, "batch dim"] | None = None,
    valid: Bool[Tensor, "batch dim"] | None = None,
) -> Samples:
    """Ancestral sampling with the student first and the teacher for the last calls.

    This is the hybrid sampler of Di4C's CIFAR-10 experiment. Early steps are coarse, and there the
    correlations of the student matter. Close to the data the marginals of the teacher are better.

    Args:
        process: forward process.
        student: denoiser of the first calls.
        start: see `ancestral`.
        grid: (N + 1,), see `ancestral`.
        teacher: denoiser of the last calls.
        teacher_steps: number of calls of the teacher, in 0..N.
        latent: latents of the student, see `ancestral`.
        teacher_latent: latents of the teacher, if the teacher is a mixture itself.
        last: see `ancestral`.
        generator: see `ancestral`.
        callback: see `ancestral`.
        trajectory: see `ancestral`.
        validate: see `ancestral`.
        fixed: see `ancestral`.
        valid: see `ancestral`.

    Returns:
        Samples, as `ancestral`.

    Raises:
        ValueError: As `ancestral`, or if teacher_steps is not in 0..N.
    """
    num_steps = len(check_grid(grid)) - 1
    require_callable("student", student)
    remedy = f"the grid has {num_steps} steps"
    check_count("teacher_steps", teacher_steps, 0, remedy, most=num_steps)
    if teacher_steps:
        require_callable("teacher", teacher)

    def move(probs: Tensor, x_t: Tensor, s: Time, t: Time, call: int) -> Tensor:
        return process.reverse_step(probs, x_t, s, t, generator=generator)

    return generate(
        process,
        [Calls(student, latent, num_steps - teacher_steps), Calls(teacher, teacher_latent)],
        start,
        grid,
        move,
        last=last,
        generator=generator,
        callback=callback,
        trajectory=trajectory,
        validate=validate,
        fixed=fixed,
        valid=valid,
    )


def tau_leaping(
    process: ForwardProcess,
    denoiser: Denoiser,
    start: Int[Tensor, "batch dim"],
    grid: Sequence[float] | Tensor,
    *,
    latent: Latent = None,
    last: str = "sample",
    jumps: str = "poisson",
    generator: Generator | None = None,
    callback: Callback | None = None,
    trajectory: bool = False,
    validate: bool = True,
    fixed: Bool[Tensor, "batch dim"] | None = None,
    valid: Bool[Tensor, "batch dim"] | None = None,
) -> Samples:
    r"""Tau-leaping (Campbell et al. 2022): the reverse rates stay constant within a step.

    The expected number of jumps to state k is $m_k = (t - s)\, \hat R_t(x_t \to k)$, with the rates
    of `ForwardProcess.reverse_rates`. A step to time 0 does not leap: it returns a draw or the
    argmax of $p_{0|t_1}$, as `ancestral` does.

    Args:
        process: forward process with known rates.
        denoiser: see `ancestral`.
        start: see `ancestral`.
        grid: see `ancestral`.
        latent: see `ancestral`.
        last: see `ancestral`.
        jumps: "poisson" adds up several jumps of a coordinate (`poisson_jumps`), for ordered states
            such as grey levels. "single" allows one jump at most (`single_jump`), for states
            without an order.
        generator: see `ancestral`.
        callback: see `ancestral`.
        trajectory: see `ancestral`.
        validate: see `ancestral`; also whether to check that rates are finite.
        fixed: see `ancestral`.
        valid: see `ancestral`.

    Returns:
        Samples, as `ancestral`.

    Raises:
        ValueError: As `ancestral`, if the process has no rates or infinite ones, or if jumps is
            unknown or does not suit the process.
    """
    leaps = {"poisson": poisson_jumps, "single": single_jump}
    check_choice("jumps", jumps, leaps)
    if jumps == "poisson" and process.mask_state is not None:
        raise ValueError(
            'jumps="poisson" adds up jumps between ordered states, and a mask has no place in an '
            'order: use jumps="single"'
        )

    def move(probs: Tensor, x_t: Tensor, s: Time, t: Time, call: int) -> Tensor:
        if isinstance(s, float):  # time 0
            return process.reverse_step(probs, x_t, s, t, generator=generator)
        means = (t - s) * process.reverse_rates(probs, x_t, t)
        if validate and not bool(means.isfinite().all()):
            raise ValueError(
                f"reverse rates are not finite at t = {float(t)}: end the grid before the time at "
                "which no data is left, or use ancestral"
            )
        return leaps[jumps](means, x_t, generator)

    return generate(
        process,
        [Calls(denoiser, latent)],
        start,
        grid,
        move,
        last=last,
        generator=generator,
        callback=callback,
        trajectory=trajectory,
        validate=validate,
        fixed=fixed,
        valid=valid,
    )
