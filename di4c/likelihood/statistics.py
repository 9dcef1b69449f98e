r"""Statistics of a mixture from features and a head, without a (B, L, D, S) tensor.

Let $z_l$ be the logits of a position, $q_l = \mathrm{softmax}(z_l)$, $m(s) = \sum_l w_l q_l(s)$ the
mixture, and P a target law. Let G and g be incoming gradients, and $r = -g P / m$. The statistics
of the position, and the gradients that they send to the logits $z_l(s)$, are

- gather: $z_l(x) - \log Z_l$; gradient $G_l \,[\delta_x(s) - q_l(s)]$;
- marginal KL: $\sum_s P \log (P / m)$; gradient $w_l q_l(s) \,[r(s) - \sum q_l r]$;
- latent KL: $\sum_l w_l \sum_s P \log (P / q_l)$; gradient $-g w_l \,[P(s) - q_l(s) \sum P]$.

One sweep over the chunks computes all of them. It costs

- products: one in the forward pass for the logits; three in the backward pass, for the logits
  again, the features and the weight. Each has 2 B L D S H operations. Plain autograd saves the
  second one and keeps all logits;
- memory traffic: a chunk is read 5 times and written 2 times in the forward pass, 8 and 6 times in
  the backward pass, in the cache if the chunk fits. Plain autograd makes about as many passes, and
  three more for each atom, over (B, L, D, S) tensors in memory;
- memory: two buffers of P L S numbers for chunks of P positions, the gradients, and a few vectors
  of P S numbers.

Coordinates that are given (carried over) need no product. Sums are in float32 or wider.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from di4c.checks import first_index
from di4c.likelihood.checks import checks_values
from di4c.likelihood.chunked import (
    Chunk,
    Chunked,
    accumulator,
    chunks,
    given_chunks,
    refuse,
    underflow,
    weighted_sum,
)
from di4c.likelihood.logits import log_point_mass
from di4c.likelihood.mixture import kl, log_mixture


class Statistics(NamedTuple):
    """What one sweep returns.

    Attributes:
        gathered: (B, L, D, N), log-probabilities of the coordinates of the atoms.
        marginal_kl: (K, B), one row for each marginal target.
        mean_latent_kl: (M, B), one row for each latent target.
    """

    gathered: Tensor
    marginal_kl: Tensor
    mean_latent_kl: Tensor


class Incoming(NamedTuple):
    """Gradients of the fields of `Statistics`; None for a field that was not used."""

    gathered: Tensor | None
    marginal_kl: Tensor | None
    mean_latent_kl: Tensor | None


@dataclass(frozen=True)
class Request:
    """Which statistics to compute, of which mixture.

    Attributes:
        chunked: head, transform and size of the chunks.
        log_weights: log-probabilities of the latents, (L,).
        atoms: (B, N, D).
        marginal_targets: K log-targets (B, D, S), each for a KL of the marginals.
        latent_targets: M log-targets (B, D, S), each for a mean KL over latents.
        validate: whether to look for NaN among the logits.
    """

    chunked: Chunked
    log_weights: Tensor
    atoms: Tensor
    marginal_targets: tuple[Tensor, ...] = ()
    latent_targets: tuple[Tensor, ...] = ()
    validate: bool = True


def statistics(request: Request, hidden: Float[Tensor, "batch latent dim hidden"]) -> Statistics:
    """All statistics in one sweep, differentiable in `hidden` and in the tensors of the head."""
    sweep: Any = Sweep.apply
    if torch.compiler.is_compiling():  # only then, because `disable` loads the compiler
        sweep = torch.compiler.disable(Sweep.apply)
    return Statistics(*sweep(request, hidden, *request.chunked.head.parameters))


class Sweep(torch.autograd.Function):
    """Maps (request, hidden, *parameters of the head) to the fields of `Statistics`."""

    @staticmethod
    def forward(
        ctx: Any, request: Request, hidden: Tensor, *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        with torch.autocast(hidden.device.type, enabled=False):
            found, log_normaliser = _forward(request, hidden)
        ctx.request = request
        ctx.save_for_backward(log_normaliser, hidden, *parameters)
        ctx.set_materialize_grads(False)
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        log_normaliser, *inputs = ctx.saved_tensors
        with torch.autocast(log_normaliser.device.type, enabled=False):
            needs = ctx.needs_input_grad[1:]
            found = _backward(ctx.request, inputs, needs, log_normaliser, Incoming(*grads))
        return None, *found


def _forward(request: Request, hidden: Tensor) -> tuple[Statistics, Tensor]:
    """The statistics, and the log-normaliser (B, L, D) of every softmax for the backward pass."""
    batch, num_latents, num_dims, _ = hidden.shape
    like = {"dtype": accumulator(hidden), "device": hidden.device}
    log_normaliser = torch.zeros(batch, num_latents, num_dims, **like)
    gathered = torch.empty(batch, num_latents, num_dims, request.atoms.shape[1], **like)
    # One value for each position. The sum at the end is then the same in every run.
    marginal = torch.empty(len(request.marginal_targets), batch, num_dims, **like)
    latent = torch.empty(len(request.latent_targets), batch, num_dims, **like)
    atoms, log_weights = request.atoms.transpose(1, 2), request.log_weights.to(**like)
    for chunk in chunks(request.chunked, hidden):
        probs = torch.softmax(chunk.logits, -1, out=chunk.scratch)
        # torch does not return the normaliser of a softmax; it follows from the largest logit.
        normaliser = (chunk.logits.amax(-1) - probs.amax(-1).log())[..., None]  # (P, L, 1)
        log_normaliser[chunk.batch, :, chunk.dim] = normaliser.squeeze(-1)
        index = chunk.of(atoms)[:, None].expand(-1, num_latents, -1)  # (P, L, N)
        gathered[chunk.batch, :, chunk.dim] = chunk.logits.gather(-1, index) - normaliser
        if request.marginal_targets:
            targets = [chunk.of(target).to(probs) for target in request.marginal_targets]
            log_marginals = _log_marginals(chunk.logits, probs, normaliser, log_weights, targets)
            for values, target in zip(marginal, targets, strict=True):
                values[chunk.batch, chunk.dim] = kl(target, log_marginals)
        if request.latent_targets:
            weights = log_weights.exp()[:, None]
            terms = torch.mul(chunk.logits.sub_(normaliser), weights, out=chunk.scratch)
            mean = terms.masked_fill_(weights == 0, 0).sum(1)  # 0 * -inf = 0
            for values, target in zip(latent, request.latent_targets, strict=True):
                values[chunk.batch, chunk.dim] = kl(chunk.of(target), mean)
    targets = (*request.marginal_targets, *request.latent_targets)
    for b, d, state in given_chunks(request.chunked, hidden):
        point_mass = log_point_mass(state, request.chunked.head.num_states).to(gathered)
        gathered[b, :, d] = point_mass.gather(-1, atoms[b, d])[:, None]  # same for all latents
        for values, target in zip((*marginal, *latent), targets, strict=True):
            values[b, d] = kl(target[b, d], point_mass)
    if checks_values(request.validate) and not bool(log_normaliser.isfinite().all()):
        refuse(request.chunked, hidden, first_index(~log_normaliser.isfinite()))
    return Statistics(gathered, marginal.sum(-1), latent.sum(-1)), log_normaliser


def _log_marginals(
    logits: Tensor,
    probs: Tensor,
    normaliser: Tensor,
    log_weights: Tensor,
    targets: list[Tensor],
) -> Float[Tensor, "position state"]:
    """Log m(s). It is exact where a target has mass, even if m(s) underflows."""
    mixture = weighted_sum(log_weights.exp(), probs)
    position, state = underflow(mixture)
    log_marginals = mixture.log_()
    if len(position):
        matters = torch.stack([target[position, state].exp() for target in targets]).amax(0) > 0
        position, state = position[matters], state[matters]
        terms = logits[position, :, state] - normaliser[position, :, 0]
        log_marginals[position, state] = log_mixture(terms, log_weights)
    return log_marginals


def _backward(
    request: Request,
    inputs: list[Tensor],
    needs: tuple[bool, ...],
    log_normaliser: Tensor,
    grads: Incoming,
) -> list[Tensor | None]:
    """Gradients of `hidden` and of the tensors of the head; None where none is needed."""
    hidden, *parameters = inputs
    head = request.chunked.head.with_parameters(tuple(parameters))
    totals = [
        torch.zeros_like(tensor, dtype=log_normaliser.dtype) if need else None
        for tensor, need in zip(inputs, needs, strict=True)
    ]
    for chunk in chunks(replace(request.chunked, head=head), hidden):
        grad_logits = _grad_logits(request, chunk, log_normaliser, grads)
        grad_rows = head.backward(chunk.rows, grad_logits.flatten(0, 1), needs, tuple(totals[1:]))
        if totals[0] is not None and grad_rows is not None:
            totals[0][chunk.batch, :, chunk.dim] = grad_rows.view(*grad_logits.shape[:2], -1).to(
                totals[0]
            )
    return [
        None if total is None else total.to(tensor.dtype)
        for total, tensor in zip(totals, inputs, strict=True)
    ]


def _grad_logits(
    request: Request, chunk: Chunk, log_normaliser: Tensor, grads: Incoming
) -> Float[Tensor, "position latent state"]:
    r"""Gradient of the logits of a chunk, written to one of its buffers.

    Let u_l(s) be the gradient of log q_l(s). The gradient of the logits is
    $u_l(s) - q_l(s) \sum_{s'} u_l(s')$. Its parts are dense ($w_l q_l r$), of rank one
    ($-g w_l P$), and sparse (G at the atoms, and `rare`).
    """
    transform = request.chunked.transform
    log_weights = request.log_weights.to(log_normaliser)
    weights = log_weights.exp()[:, None]  # (L, 1)
    normaliser = chunk.of_latents(log_normaliser)[..., None]  # (P, L, 1)
    slope = None  # derivative of the soft cap
    if transform.soft_cap is not None:
        slope = 1 - (chunk.logits / transform.soft_cap).square_()
    log_probs = chunk.logits.sub_(normaliser)
    probs = torch.exp(log_probs, out=chunk.scratch)
    total = torch.zeros_like(normaliser)  # sum of u_l(s) over s

    ratio = rare = rank_one = picked = None
    if grads.marginal_kl is not None and request.marginal_targets:
        mass = _mass(chunk, request.marginal_targets, grads.marginal_kl)
        ratio, rare = _marginal_part(log_probs, probs, mass, log_weights)
        total += weights * torch.bmm(ratio[:, None], probs.mT).mT
        total.squeeze(-1).index_add_(0, rare.position, rare.values)
    if grads.mean_latent_kl is not None and request.latent_targets:
        rank_one = _mass(chunk, request.latent_targets, grads.mean_latent_kl)
        total += weights * rank_one.sum(-1)[:, None, None]
    if grads.gathered is not None:
        picked = chunk.of_latents(grads.gathered)  # (P, L, N)
        total += picked.sum(-1, keepdim=True)

    if ratio is None:
        grad = probs.mul_(total.neg_())
    else:
        grad = probs.mul_(torch.mul(weights, ratio[:, None], out=log_probs).sub_(total))
    if rare is not None:
        grad[rare.position, :, rare.state] += rare.values
    if rank_one is not None:
        grad.baddbmm_(weights.expand(len(grad), -1, -1), rank_one[:, None])
    if picked is not None:
        index = chunk.of(request.atoms.transpose(1, 2))[:, None].expand_as(picked)
        grad.scatter_add_(-1, index, picked)
    if slope is not None:
        grad.mul_(slope)
    for state in transform.excluded_states:  # their logits are constants
        grad[..., state] = 0
    return grad if chunk.known is None else grad.masked_fill_(chunk.known[..., None], 0)


class _Rare(NamedTuple):
    """The dense part of u at the n pairs (position, state) where the mixture underflows.

    Attributes:
        position: (n,).
        state: (n,).
        values: (n, L).
    """

    position: Tensor
    state: Tensor
    values: Tensor


def _marginal_part(
    log_probs: Tensor, probs: Tensor, mass: Tensor, log_weights: Tensor
) -> tuple[Float[Tensor, "position state"], _Rare]:
    r"""The dense part $w_l q_l(s)\, r(s)$: the factor $r = \text{mass} / m$, and the rare terms.

    Where m underflows r is 0, and the rare terms hold the part itself.
    """
    mixture = weighted_sum(log_weights.exp(), probs)
    position, state = underflow(mixture)
    ratio = mass / mixture
    ratio[position, state] = 0
    matters = mass[position, state] != 0
    position, state = position[matters], state[matters]
    terms = log_probs[position, :, state] + log_weights
    # If all latents have log-probability -inf, the KL is infinite and its gradient is set to 0.
    responsibility = terms.softmax(-1).masked_fill_((terms == -torch.inf).all(-1, True), 0)
    return ratio, _Rare(position, state, mass[position, state][:, None] * responsibility)


def _mass(chunk: Chunk, targets: tuple[Tensor, ...], grads: Tensor) -> Tensor:
    """Minus the sum of g P over the targets, at the positions of the chunk: (P, S)."""
    mass = torch.zeros_like(chunk.logits[:, 0])
    for target, grad in zip(targets, grads, strict=True):
        mass.addcmul_(chunk.of(target).to(mass).exp_(), grad[chunk.batch][:, None], value=-1)
    return mass
