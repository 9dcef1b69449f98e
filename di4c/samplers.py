"""Few-step samplers: ancestral, hybrid of student and teacher, tau-leaping.

Flat functions with one signature: (process, denoiser, start, grid, *, options). What "n steps"
means and how grids state it is said in di4c.sampling_loop; the confidence sampler of MaskGIT, which
reveals by rank and not by time, is di4c.confidence.
"""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from di4c.denoisers import Denoiser
from di4c.latents import Latent, latent_draws
from di4c.likelihood.checks import check_shape
from di4c.processes import ForwardProcess, MaskedProcess
from di4c.processes.base import align_time
from di4c.processes.reverse_rates import poisson_jumps, reverse_rates, single_jump
from di4c.rng import Generator, categorical, exponential_race, invert, uniform
from di4c.sampling_loop import Call, Callback, Samples, carry_over, generate
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
) -> Samples:
    r"""Draw $x_s \sim p_{s|t}(\cdot \mid x_t) = \mathbb{E}_\lambda \prod_d p^d_{s|t}$ step by step.

    One latent for all dimensions, then two stages: $x_0 \sim p_{0|t}(\cdot \mid x_t; \lambda)$ and
    $x_s \sim q_{s|0,t}(\cdot \mid x_0, x_t)$ (`ancestral_step`). The law of the samples is that of
    `exact.mixture_composition`.

    Args:
        process: forward process.
        denoiser: see di4c.denoisers; log-probabilities over all states are accepted as well, if
            the mask has none.
        start: states at the last time of the grid, e.g. from `prior_samples`; not changed.
        grid: times, data to noise; its length less one is the number of network calls.
        latent: a LatentPolicy, the latents themselves (one entry a call), or None.
        last: "sample", or "argmax" for the most likely value of each coordinate in the last step
            (then the grid starts at 0).
        uniforms: uniform draws (B, D, num_states) for each step. Then $x_s$ is drawn in one stage
            by the `exponential_race` of MDLM from $p_{s|t}(\cdot \mid x_t; \lambda)$, which is the
            same law: it replays recorded runs.
        generator: source of all randomness; `SampleGenerators` make sample i independent of the
            batch it is in.
        callback: called with a Step after each step, for progress.
        trajectory: whether to return the states at all times.
        validate: whether to check every output of the denoiser (one pass over it).

    Raises:
        ValueError: If the grid does not increase, the start holds something that is no state, the
            denoiser returns a wrong shape, NaN or no log-probabilities, or latents or uniforms run
            out.
    """

    def move(probs: Tensor, x_t: Tensor, s: Time, t: Time, call: int) -> Tensor:
        if uniforms is None:
            return ancestral_step(process, probs, x_t, s, t, generator=generator)
        if call >= len(uniforms):
            raise ValueError(
                f"uniforms must hold one entry a step; got {len(uniforms)}, and step {call} needs "
                "one more"
            )
        weights = process.reverse(probs.double(), x_t, s, t)
        check_shape("uniforms", uniforms[call], tuple(weights.shape), "batch, dim, state")
        return exponential_race(weights, uniforms=uniforms[call])

    times = check_grid(grid)
    draws = latent_draws(latent, len(start), generator, start.device)
    return generate(
        process,
        [Call(denoiser, draws)] * (len(times) - 1),
        start,
        times,
        move,
        last=last,
        callback=callback,
        trajectory=trajectory,
        validate=validate,
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
) -> Samples:
    """`ancestral` with the student first and the teacher for the last `teacher_steps` calls.

    The student's correlations matter where steps are coarse, early on; close to the data the
    teacher's marginals are the better ones (Di4C's CIFAR-10 hybrid). `teacher_latent` is for a
    teacher that is itself a mixture; the other arguments are those of `ancestral`.

    Raises:
        ValueError: As in `ancestral`, or if teacher_steps is not in 0..N.
    """
    times = check_grid(grid)
    num_steps = len(times) - 1
    if not 0 <= teacher_steps <= num_steps:
        raise ValueError(
            f"teacher_steps must lie in 0..{num_steps}, the steps of the grid; got {teacher_steps}"
        )
    student_draws = latent_draws(latent, len(start), generator, start.device)
    teacher_draws = latent_draws(teacher_latent, len(start), generator, start.device)
    calls = [Call(student, student_draws)] * (num_steps - teacher_steps)
    calls += [Call(teacher, teacher_draws)] * teacher_steps

    def move(probs: Tensor, x_t: Tensor, s: Time, t: Time, call: int) -> Tensor:
        return ancestral_step(process, probs, x_t, s, t, generator=generator)

    return generate(
        process,
        calls,
        start,
        times,
        move,
        last=last,
        callback=callback,
        trajectory=trajectory,
        validate=validate,
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
) -> Samples:
    r"""Hold the reverse rates of each coordinate constant over a step (Campbell et al. 2022).

    With the expected jumps $m_k = (t - s) \hat R_t(x_t \to k)$ of `leaping.reverse_rates`,

    - `jumps="poisson"`: counts $n_k \sim \mathrm{Poisson}(m_k)$ and $x_s = x_t + \sum_k n_k (k -
      x_t)$, clipped to 0..S-1: jumps add up, which suits ordered states such as grey levels;
    - `jumps="single"`: at most one jump, $x_s = x_t$ with probability $e^{-\sum m}$ and otherwise k
      with probability proportional to $m_k$: for states without an order.

    A step to time 0 does not leap: it returns a draw or the argmax of $p_{0|t_1}$, as `ancestral`
    does. Other arguments are those of `ancestral`.

    Raises:
        ValueError: As in `ancestral`, if the process has no rates or infinite ones, or if jumps is
            unknown or does not suit the process.
    """
    leaps = {"poisson": poisson_jumps, "single": single_jump}
    if jumps not in leaps:
        raise ValueError(f"jumps must be one of {', '.join(map(repr, leaps))}; got {jumps!r}")
    if jumps == "poisson" and process.mask_state is not None:
        raise ValueError(
            'jumps="poisson" adds up jumps between ordered states, and a mask has no place in an '
            'order: use jumps="single"'
        )

    def move(probs: Tensor, x_t: Tensor, s: Time, t: Time, call: int) -> Tensor:
        if isinstance(s, float):  # time 0
            return ancestral_step(process, probs, x_t, s, t, generator=generator)
        means = (t - s) * reverse_rates(process, probs, x_t, t)
        if validate and not bool(means.isfinite().all()):
            raise ValueError(
                f"reverse rates are not finite at t = {float(t)}: end the grid before the time at "
                "which all data is forgotten, or use ancestral"
            )
        return leaps[jumps](means, x_t, generator)

    times = check_grid(grid)
    draws = latent_draws(latent, len(start), generator, start.device)
    return generate(
        process,
        [Call(denoiser, draws)] * (len(times) - 1),
        start,
        times,
        move,
        last=last,
        callback=callback,
        trajectory=trajectory,
        validate=validate,
    )


def ancestral_step(
    process: ForwardProcess,
    probs: Float[Tensor, "*batch value"],
    x_t: Int[Tensor, "*batch"],
    s: Time,
    t: Time,
    *,
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""One step in two stages: $x_0 \sim p_{0|t}$, then $x_s \sim q_{s|0,t}(\cdot \mid x_0, x_t)$.

    Where $x_0$ cannot lead to $x_t$ the coordinate is carried over, as in
    `ForwardProcess.reverse`.

    Args:
        process: forward process.
        probs: $p_{0|t}$ of each coordinate over the values; need not be normalised.
        x_t: states at time t.
        s: earlier time, a number or one per leading entry of x_t.
        t: later time, likewise.
        generator: source of randomness.
    """
    if isinstance(process, MaskedProcess):
        reveal = align_time(process.reveal_probability(s, t).to(x_t.device), x_t)
        reveals = uniform(x_t.shape, generator=generator, device=x_t.device)
        uniforms = uniform(x_t.shape, generator=generator, device=x_t.device)
        # x_0 is only looked at where it is revealed: over a trajectory, once a coordinate.
        revealed = (x_t == process.mask_state) & (reveals < reveal)
        x_s = x_t.clone()
        x_s[revealed] = invert(probs[revealed], uniforms[revealed])
        return x_s
    x_0 = categorical(probs, generator=generator)
    if isinstance(s, float) and s == 0:
        return carry_over(process, x_0, x_t, t)
    return categorical(process.posterior(x_0, x_t, s, t), generator=generator)
