r"""MaskGIT's confidence sampler (Chang et al. 2022; Besnier & Chen 2023) and its one-step teacher.

Each step draws a value for every position. It keeps the values of the highest confidence, which is
their log-probability plus Gumbel noise. A schedule fixes in advance how many positions a step
reveals, the same number for every sample. So the law of the samples is not that of a reverse
process.

MaskGIT's time r runs from 0 (all masked) to 1 (data); step i of n starts at $r_i = i / n$. Networks
receive t = T (1 - r).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from di4c.checks import check_number, check_states, require_tensor
from di4c.conditioning import Held
from di4c.denoisers import Denoiser
from di4c.latents import Latent, latent_draws
from di4c.likelihood.checks import check_shape
from di4c.likelihood.mixture import at_least_float32
from di4c.maskgit_schedule import ramp, reveal_count, reveal_counts
from di4c.network_call import entry, next_latent, predict
from di4c.processes import ForwardProcess, MaskedProcess
from di4c.processes.times import align_time
from di4c.rng import Generator, categorical, gumbel
from di4c.sampling_loop import Callback, Samples, Step


def mask_of(process: ForwardProcess, remedy: str) -> int:
    """The mask of a process; raises ValueError if it has none."""
    if process.mask_state is None:
        raise ValueError(
            f"process must be masked for a confidence step; got {type(process).__name__}: {remedy}"
        )
    return process.mask_state


def guided_logits(
    conditional: Float[Tensor, "batch dim value"],
    unconditional: Float[Tensor, "batch dim value"],
    weight: Float[Tensor, "batch"] | float,
) -> Float[Tensor, "batch dim value"]:
    """Classifier-free guidance: (1 + w) conditional - w unconditional.

    A value with conditional logit -inf stays excluded. A value with unconditional logit -inf keeps
    its conditional logit, because nothing can be extrapolated from -inf.

    Args:
        conditional: logits or log-probabilities given the class, (B, D, V).
        unconditional: the same without the class, (B, D, V).
        weight: w, one number or one for each example.

    Returns:
        Logits (B, D, V), not normalised.
    """
    if isinstance(weight, Tensor):
        weight = align_time(weight, conditional)
    unconditional = torch.where(unconditional == -torch.inf, conditional, unconditional)
    logits = (1 + weight) * conditional - weight * unconditional
    return logits.masked_fill(conditional == -torch.inf, -torch.inf)


def confidence_step(
    log_probs: Float[Tensor, "*batch dim value"],
    x_t: Int[Tensor, "*batch dim"],
    masked: Bool[Tensor, "*batch dim"],
    num_reveal: Int[Tensor, "*batch"],
    noise_scale: Float[Tensor, "*batch"],
    *,
    predictions: Int[Tensor, "*batch dim"] | None = None,
    gumbels: Float[Tensor, "*batch dim"] | None = None,
    generator: Generator | None = None,
) -> tuple[Int[Tensor, "*batch dim"], Bool[Tensor, "*batch dim"]]:
    """Predict every position and reveal the most confident of the masked ones.

    The confidence is the log-probability of the prediction plus noise_scale times a Gumbel draw.
    The log-probabilities may include the mask. A position that is revealed as a
    mask keeps its mask and is not predicted again.

    Args:
        log_probs: (..., D, V) over the values, or (..., D, S) over all states; normalised.
        x_t: states before the step, (..., D).
        masked: which positions are still to be revealed, (..., D).
        num_reveal: how many positions of each row to reveal, (...). If fewer are masked, all of
            them are revealed.
        noise_scale: factor of the Gumbel noise of each row, (...); with 0 the choice is greedy.
        predictions: values for all positions, (..., D); drawn if None.
        gumbels: standard Gumbel draws, (..., D); drawn if None.
        generator: source of randomness.

    Returns:
        The states after the step and the positions that are still to be revealed, both (..., D).
    """
    if predictions is None:
        predictions = categorical(at_least_float32(log_probs).exp(), generator=generator)
    if gumbels is None:
        gumbels = gumbel(x_t.shape, generator=generator, device=x_t.device)
    confidence = log_probs.gather(-1, predictions[..., None]).squeeze(-1).double()
    confidence = (confidence + noise_scale[..., None] * gumbels).masked_fill(~masked, -torch.inf)
    rank = confidence.argsort(-1, descending=True).argsort(-1)
    revealed = masked & (rank < num_reveal[..., None])
    return torch.where(revealed, predictions, x_t), masked & ~revealed


def teacher_step(
    log_probs: Float[Tensor, "*batch dim value"],
    x_t: Int[Tensor, "*batch dim"],
    r: Float[Tensor, "..."],
    delta: Float[Tensor, "..."] | float,
    mask_state: int,
    *,
    num_steps: int = 8,
    temperature: float = 4.5,
    schedule: str = "arccos",
    num_tokens: Int[Tensor, "*batch"] | None = None,
    predictions: Int[Tensor, "*batch dim"] | None = None,
    gumbels: Float[Tensor, "*batch dim"] | None = None,
    generator: Generator | None = None,
) -> Int[Tensor, "*batch dim"]:
    r"""One step of MaskGIT's teacher, from r to min(r + delta, 1): $x_u$ given $x_t$.

    The step reveals positions until the masked share is that of the schedule at its end, see
    `reveal_count`. The scale of the Gumbel noise is `temperature * (1 - ramp(r, num_steps))`.

    Args:
        log_probs: log-probabilities of the teacher, (..., D, V) or (..., D, S). The leading axes
            are those of x_t, e.g. expanded over the latents of each example.
        x_t: partly masked states, (..., D).
        r: MaskGIT's time, one for each leading entry of x_t; 0 is all masked.
        delta: length of the step in r, a number or one for each leading entry of x_t.
        mask_state: the mask.
        num_steps: n of the ramp, the number of steps of the sampler that the teacher stands for.
        temperature: scale of the Gumbel noise at r = 0.
        schedule: schedule of the mask ratio, a key of MASK_RATIOS.
        num_tokens: number of positions of each row that are not held, (...); all D if None.
        predictions: see `confidence_step`.
        gumbels: see `confidence_step`.
        generator: source of randomness.

    Returns:
        States $x_u$, (..., D). Positions that were not revealed are unchanged.

    Raises:
        ValueError: If an argument is out of range.
    """
    check_number("temperature", temperature)
    masked = x_t == mask_state
    num_masked = masked.sum(-1)
    total = x_t.shape[-1] if num_tokens is None else num_tokens
    if isinstance(delta, Tensor):
        delta = align_time(delta, num_masked)
    r = align_time(r, num_masked)
    r_next = (r + delta).clamp_max(1).expand(num_masked.shape)
    x_u, _ = confidence_step(
        log_probs,
        x_t,
        masked,
        reveal_count(r_next, num_masked, total, schedule),
        (temperature * (1 - ramp(r, num_steps))).expand(num_masked.shape),
        predictions=predictions,
        gumbels=gumbels,
        generator=generator,
    )
    return x_u


def confidence_sampling(
    process: MaskedProcess,
    denoiser: Denoiser,
    start: Int[Tensor, "batch dim"],
    num_steps: int,
    *,
    schedule: str = "arccos",
    temperature: float = 4.5,
    unconditional: Denoiser | None = None,
    guidance: float = 0.0,
    latent: Latent = None,
    recorded: Sequence[tuple[Tensor, Tensor]] | None = None,
    generator: Generator | None = None,
    callback: Callback | None = None,
    trajectory: bool = False,
    validate: bool = True,
    fixed: Bool[Tensor, "batch dim"] | None = None,
    valid: Bool[Tensor, "batch dim"] | None = None,
) -> Samples:
    """MaskGIT's sampler: reveal the most confident positions, in num_steps steps.

    In step i of n the weight of the guidance is `guidance * ramp(i / n)`. The scale of the Gumbel
    noise is `temperature * (1 - ramp(i / n))`. Each step uses one latent for all positions and for
    both branches of the guidance.

    A position that is revealed as a mask (see `confidence_step`) becomes the last value at the end,
    as published. A denoiser that gives the mask no probability (`FromLogits`) never makes one.

    Args:
        process: says which state is the mask. Its schedule is not used.
        denoiser: the network, given the class if there are classes. It returns log-probabilities
            over the values, or over all states.
        start: (B, D), with masks at the positions to generate and values to keep elsewhere.
        num_steps: n.
        schedule: schedule of the mask ratio, a key of MASK_RATIOS.
        temperature: scale of the Gumbel noise in the first step.
        unconditional: the network without the class. It is not called in steps with weight 0.
        guidance: weight w of the guidance in the last step.
        latent: see `samplers.ancestral`.
        recorded: predictions and Gumbel draws, both (B, D), for each step, to replay a run.
        generator: see `samplers.ancestral`.
        callback: see `samplers.ancestral`.
        trajectory: see `samplers.ancestral`.
        validate: see `samplers.ancestral`.
        fixed: see `samplers.ancestral`.
        valid: see `samplers.ancestral`.

    Returns:
        Samples. The number of calls counts both branches. The trajectory starts with `start`.

    Raises:
        ValueError: If the process has no mask, an argument is out of range, or a denoiser does not
            return log-probabilities.
    """
    mask_state = mask_of(process, "use ancestral")
    check_number("guidance", guidance, "(-inf, inf)")
    check_number("temperature", temperature)
    if guidance != 0 and unconditional is None:
        raise ValueError(f"unconditional must be given for guidance = {guidance}; got None")
    require_tensor("start", start)
    check_shape("start", start, (-1, -1), "batch, dim")
    check_states("start", start, process.num_states, "use the mask at positions to generate")
    held = Held.of(process, "start", start, fixed, valid, validate)
    masked = held.hides(start, mask_state)
    # The counts of a sample depend on its own number of masks, not on the rest of the batch.
    sizes, which = masked.sum(-1).cpu().unique(return_inverse=True)
    counts = [reveal_counts(max(1, size), num_steps, schedule) for size in sizes.tolist()]
    counts = torch.stack(counts)[which].T.to(start.device)
    latents = latent_draws(latent, len(start), generator, start.device)
    row = torch.ones(len(start), dtype=torch.float64, device=start.device)
    x_t, path, nfe = start, [start], 0
    for i, count in enumerate(counts):
        x_s, z, r = x_t, None, i / num_steps
        t, s = (1 - r) * process.horizon, (1 - (i + 1) / num_steps) * process.horizon
        if bool(masked.any()):
            z = next_latent(latents, i, len(start))
            log_probs = predict(process, denoiser, x_t, t, z, drop_mask=False, validate=validate)
            nfe += 1
            share = ramp(row * r, num_steps)
            if unconditional is not None and guidance * float(share[0]) != 0:
                other = predict(
                    process, unconditional, x_t, t, z, drop_mask=False, validate=validate
                )
                nfe += 1
                log_probs = guided_logits(log_probs, other, guidance * share).log_softmax(-1)
            predictions, gumbels = (None, None)
            if recorded is not None:
                predictions, gumbels = entry("recorded", recorded, i)
            x_s, masked = confidence_step(
                log_probs,
                x_t,
                masked,
                count,
                temperature * (1 - share),
                predictions=predictions,
                gumbels=gumbels,
                generator=generator,
            )
        if i == num_steps - 1:
            left = held.hides(x_s, mask_state)
            x_s = torch.where(left, int(process.values[-1]), x_s)
        if callback is not None:
            callback(Step(i, num_steps, s, t, x_t, x_s, z))
        if trajectory:
            path.append(x_s)
        x_t = x_s
    return Samples(x_t, nfe, torch.stack(path) if trajectory else None)
