"""The mixture of a large network, held as features and a head instead of log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_states, may_be_read
from di4c.likelihood.checks import check_shape, checks_values, coarsest
from di4c.likelihood.chunked import Chunked, accumulator, chunks, given_chunks, weighted_sum
from di4c.likelihood.logits import Head, LogitsTransform, log_point_mass
from di4c.likelihood.mixture import check_atoms, check_latent_law, check_log_target
from di4c.likelihood.statistics import Request, statistics
from di4c.rng import Generator, invert, uniform


@dataclass(frozen=True)
class HeadMixture:
    """A mixture computed from hidden states in chunks, so that no (B, L, D, S) tensor ever exists.

    Values and gradients are those of a `DenseMixture` of the same logits. Every statistic makes one
    sweep over the head. `prefetch` computes all statistics that the losses of a training step need
    in a single sweep. Under `torch.compile` the sweep is not compiled; the graph breaks there.

    Attributes:
        hidden: (B, L, D, H), the features that the head maps to logits; any float type. Sums are
            in float32 or wider.
        head: `LinearHead(weight, bias)`, or a `FunctionHead`.
        log_weights: (L,), log-probabilities of the latents; constants.
        transform: what happens between logits and softmax.
        positions_per_chunk: number of pairs (b, d) in a chunk. Each needs two buffers of L S
            numbers. None for a number that suits the device.
        validate: whether to check values. NaN logits are found when they are computed.

    Raises:
        ValueError: If shapes disagree, there is no latent, or the weights do not sum to 1. A
            statistic raises it if a logit is NaN.
    """

    hidden: Float[Tensor, "batch latent dim hidden"]
    head: Head
    log_weights: Float[Tensor, "latent"]
    transform: LogitsTransform = field(default_factory=LogitsTransform)
    positions_per_chunk: int | None = None
    validate: bool = True

    def __post_init__(self) -> None:
        check_shape("hidden", self.hidden, (-1, -1, -1, -1), "batch, latent, dim, feature")
        self.head.check(self.hidden.shape[-1])
        check_latent_law(self.log_weights, self.hidden.shape[1], self.validate)
        if self.log_weights.requires_grad:
            raise ValueError(
                "log_weights requires a gradient, which a HeadMixture does not compute: detach it, "
                "or learn the law of the latent with a DenseMixture"
            )
        if self.positions_per_chunk is not None and self.positions_per_chunk < 1:
            raise ValueError(
                f"positions_per_chunk must be at least 1; got {self.positions_per_chunk}"
            )
        batch, num_latents, num_dims, _ = self.hidden.shape
        self.transform.check(batch, num_latents, num_dims, self.head.num_states)
        if self.transform.given is not None and checks_values(self.validate):
            given = self.transform.given.clamp(min=0)
            check_states("given", given, self.head.num_states, "mark unknown coordinates by -1")

    def with_known(self, known: Int[Tensor, "batch dim"]) -> "HeadMixture":
        """The same mixture with point masses at coordinates that are known. They cost no product.

        Args:
            known: the state of each known coordinate, -1 for the others, (B, D).
        """
        check_shape("known", known, (len(self.hidden), self.hidden.shape[2]), "batch, dim")
        given = self.transform.given
        if given is not None:
            over = known[:, None] if given.ndim == 3 else known
            known = torch.where(over >= 0, over, given)
        return replace(self, transform=replace(self.transform, given=known))

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        return self.prefetch(atoms=[x]).gather(x)

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        return self.prefetch(marginal_targets=[log_target]).marginal_kl(log_target)

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        return self.prefetch(latent_targets=[log_target]).mean_latent_kl(log_target)

    def prefetch(
        self,
        atoms: Sequence[Int[Tensor, "batch _ dim"]] = (),
        marginal_targets: Sequence[Float[Tensor, "batch dim state"]] = (),
        latent_targets: Sequence[Float[Tensor, "batch dim state"]] = (),
    ) -> "PrefetchedMixture":
        """The same mixture with some statistics already computed, in one sweep over the head.

        Args:
            atoms: tensors (B, N, D) that `gather` will receive.
            marginal_targets: tensors (B, D, S) that `marginal_kl` will receive.
            latent_targets: tensors (B, D, S) that `mean_latent_kl` will receive.

        Raises:
            ValueError: If a shape disagrees, or an atom is no state.
        """
        batch, _, num_dims, _ = self.hidden.shape
        num_states = self.head.num_states
        for x in atoms:
            check_atoms(x, (batch, -1, num_dims), num_states, self.validate)
        for log_target in (*marginal_targets, *latent_targets):
            check_log_target(log_target, (batch, num_dims, num_states), self.validate)
        none = torch.empty(batch, 0, num_dims, dtype=torch.long, device=self.hidden.device)
        request = Request(
            self._chunked(),
            self.log_weights,
            torch.cat([*atoms, none], 1),
            tuple(target.detach() for target in marginal_targets),
            tuple(target.detach() for target in latent_targets),
            self.validate,
        )
        found = statistics(request, self.hidden)
        pieces = found.gathered.split([x.shape[1] for x in atoms], -1) if atoms else ()
        return PrefetchedMixture(
            self,
            tuple(zip(atoms, pieces, strict=True)),
            tuple(zip(marginal_targets, found.marginal_kl, strict=True)),
            tuple(zip(latent_targets, found.mean_latent_kl, strict=True)),
        )

    @torch.no_grad()
    def draw(
        self, generator: Generator | None = None
    ) -> tuple[Int[Tensor, "batch latent dim"], Float[Tensor, "batch dim state"]]:
        """One draw for each latent, and the log-marginals of the mixture, in one sweep.

        Up to rounding the draws are those of `DenseMixture.draw`, for every chunk size.

        Returns:
            Samples (B, L, D) and log-marginals (B, D, S).
        """
        uniforms = uniform(self.hidden.shape[:3], generator=generator, device=self.hidden.device)
        samples = torch.empty_like(uniforms, dtype=torch.long)
        return samples, self._sweep(samples, uniforms)

    @torch.no_grad()
    def log_marginals(self) -> Float[Tensor, "batch dim state"]:
        """Log-marginals of the mixture, (B, D, S), without the cost of a draw."""
        return self._sweep()

    @property
    def precision(self) -> torch.dtype:
        """Dtype of the least precise numbers that laws are normalised in.

        Logits are normalised in float32 or wider, whatever the dtype of the features is.
        """
        return coarsest(accumulator(self.hidden), self.log_weights.dtype)

    def _sweep(self, samples: Tensor | None = None, uniforms: Tensor | None = None) -> Tensor:
        """The log-marginals (B, D, S); also writes the samples that belong to the uniforms."""
        with torch.autocast(self.hidden.device.type, enabled=False):
            batch, _, num_dims, _ = self.hidden.shape
            shape = (batch, num_dims, self.head.num_states)
            marginals = self.hidden.new_empty(shape, dtype=accumulator(self.hidden))
            weights = self.log_weights.to(marginals).exp()
            for chunk in chunks(self._chunked(), self.hidden):
                probs = torch.softmax(chunk.logits, -1, out=chunk.scratch)
                if samples is not None and uniforms is not None:
                    place = chunk.batch, slice(None), chunk.dim
                    samples[place] = invert(probs, uniforms[place])
                marginals[chunk.batch, chunk.dim] = weighted_sum(weights, probs)
            for batch_index, dim, state in given_chunks(self._chunked(), self.hidden):
                if samples is not None:
                    samples[batch_index, :, dim] = state[:, None]
                marginals[batch_index, dim] = log_point_mass(state, shape[-1]).to(marginals).exp()
        if self.validate and may_be_read(marginals) and bool(marginals.isnan().any()):
            self.gather(torch.zeros(batch, 1, num_dims, dtype=torch.long))  # it names the first one
        return marginals.log_()

    def _chunked(self) -> Chunked:
        return Chunked(self.head, self.transform, self.positions_per_chunk)


@dataclass(frozen=True)
class PrefetchedMixture:
    """A `HeadMixture` that knows some of its statistics. Any other statistic costs a sweep.

    Attributes:
        mixture: the mixture.
        gathered: pairs of atoms and their log-probabilities.
        marginal_kls: pairs of a log-target and its KL to the marginals.
        latent_kls: pairs of a log-target and its mean KL over latents.
    """

    mixture: HeadMixture
    gathered: tuple[tuple[Tensor, Tensor], ...]
    marginal_kls: tuple[tuple[Tensor, Tensor], ...]
    latent_kls: tuple[tuple[Tensor, Tensor], ...]

    @property
    def log_weights(self) -> Float[Tensor, "latent"]:
        return self.mixture.log_weights

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        known = _find(x, self.gathered)
        return self.mixture.gather(x) if known is None else known

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        known = _find(log_target, self.marginal_kls)
        return self.mixture.marginal_kl(log_target) if known is None else known

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        known = _find(log_target, self.latent_kls)
        return self.mixture.mean_latent_kl(log_target) if known is None else known


def _find(key: Tensor, pairs: tuple[tuple[Tensor, Tensor], ...]) -> Tensor | None:
    """The value that is stored for this tensor object, or None."""
    return next((value for tensor, value in pairs if tensor is key), None)
