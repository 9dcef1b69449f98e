"""The mixture of a large network: features and a head in place of log-probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.likelihood.checks import check_shape, check_states, checks_values
from di4c.likelihood.chunked import Chunked, accumulator, chunks, given_chunks
from di4c.likelihood.logits import Head, LogitsTransform, log_point_mass
from di4c.likelihood.mixture import check_atoms, check_latent_law, check_log_target
from di4c.likelihood.statistics import Request, statistics, weighted_sum
from di4c.rng import Generator, invert, uniform


@dataclass(frozen=True)
class HeadMixture:
    """A mixture computed from hidden states, in chunks: no (B, L, D, S) tensor ever exists.

    Values and gradients are those of a `DenseMixture` of the same logits. Every statistic sweeps
    over the head once; `prefetch` computes all that the losses of a step will ask for in a single
    sweep. Under `torch.compile` the sweep runs as it is, between compiled graphs.

    Attributes:
        hidden: (B, L, D, H), the features that the head maps to logits; any float type. Sums are
            in float32 or wider.
        head: `LinearHead(weight, bias)`, or a `FunctionHead`.
        log_weights: (L,), log-probabilities of the latents; constants.
        transform: what happens between logits and softmax.
        positions_per_chunk: pairs (b, d) in a chunk: memory is two buffers of L S numbers for each.
            None for as many as suit the device.
        validate: whether to check values; NaN logits are found while they are at hand.

    Raises:
        ValueError: If shapes disagree, there is no latent, or the weights do not sum to 1; from a
            statistic, if a logit is NaN.
    """

    hidden: Float[Tensor, "batch latent dim hidden"]
    head: Head
    log_weights: Float[Tensor, "latent"]
    transform: LogitsTransform = field(default_factory=LogitsTransform)
    positions_per_chunk: int | None = None
    validate: bool = True

    def __post_init__(self) -> None:
        """Check what arrived."""
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
            check_states("given", given, self.head.num_states, "mark what is unknown by -1")

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        """See Mixture.gather."""
        return self.prefetch(atoms=[x]).gather(x)

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        """See Mixture.marginal_kl."""
        return self.prefetch(marginal_targets=[log_target]).marginal_kl(log_target)

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        """See Mixture.mean_latent_kl."""
        return self.prefetch(latent_targets=[log_target]).mean_latent_kl(log_target)

    def prefetch(
        self,
        atoms: Sequence[Int[Tensor, "batch _ dim"]] = (),
        marginal_targets: Sequence[Float[Tensor, "batch dim state"]] = (),
        latent_targets: Sequence[Float[Tensor, "batch dim state"]] = (),
    ) -> "PrefetchedMixture":
        """The same mixture with some statistics already there, all from one sweep over the head.

        Args:
            atoms: what `gather` will be asked for.
            marginal_targets: what `marginal_kl` will be asked for.
            latent_targets: what `mean_latent_kl` will be asked for.
        """
        batch, _, num_dims, _ = self.hidden.shape
        num_states = self.head.num_states
        for x in atoms:
            check_atoms(x, (batch, -1, num_dims), num_states, self.validate)
        for log_target in (*marginal_targets, *latent_targets):
            check_log_target(log_target, (batch, num_dims, num_states))
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
        """One draw for each latent and the log-marginals, in one sweep; see DenseMixture.draw.

        Up to rounding the draws are those of `DenseMixture.draw`, whatever the chunk size.
        """
        uniforms = uniform(self.hidden.shape[:3], generator=generator, device=self.hidden.device)
        samples = torch.empty_like(uniforms, dtype=torch.long)
        return samples, self._sweep(samples, uniforms)

    @torch.no_grad()
    def log_marginals(self) -> Float[Tensor, "batch dim state"]:
        """Those of `draw`, where no draw is wanted: the inversion costs as much as the softmax."""
        return self._sweep()

    def _sweep(self, samples: Tensor | None = None, uniforms: Tensor | None = None) -> Tensor:
        """The log-marginals; fills in the samples that belong to uniforms."""
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
            return marginals.log_()

    def _chunked(self) -> Chunked:
        return Chunked(self.head, self.transform, self.positions_per_chunk)


@dataclass(frozen=True)
class PrefetchedMixture:
    """A `HeadMixture` that knows some of its statistics; any other costs a sweep of its own.

    Attributes:
        mixture: the mixture itself.
        gathered: pairs of atoms and their log-probabilities.
        marginal_kls: pairs of a log-target and its marginal KL.
        latent_kls: pairs of a log-target and its mean KL over latents.
    """

    mixture: HeadMixture
    gathered: tuple[tuple[Tensor, Tensor], ...]
    marginal_kls: tuple[tuple[Tensor, Tensor], ...]
    latent_kls: tuple[tuple[Tensor, Tensor], ...]

    @property
    def log_weights(self) -> Float[Tensor, "latent"]:
        """See Mixture.log_weights."""
        return self.mixture.log_weights

    def gather(self, x: Int[Tensor, "batch atom dim"]) -> Float[Tensor, "batch latent dim atom"]:
        """See Mixture.gather."""
        known = _find(x, self.gathered)
        return self.mixture.gather(x) if known is None else known

    def marginal_kl(self, log_target: Float[Tensor, "batch dim state"]) -> Float[Tensor, "batch"]:
        """See Mixture.marginal_kl."""
        known = _find(log_target, self.marginal_kls)
        return self.mixture.marginal_kl(log_target) if known is None else known

    def mean_latent_kl(
        self, log_target: Float[Tensor, "batch dim state"]
    ) -> Float[Tensor, "batch"]:
        """See Mixture.mean_latent_kl."""
        known = _find(log_target, self.latent_kls)
        return self.mixture.mean_latent_kl(log_target) if known is None else known


def _find(key: Tensor, pairs: tuple[tuple[Tensor, Tensor], ...]) -> Tensor | None:
    """The value that belongs to this very tensor."""
    return next((value for tensor, value in pairs if tensor is key), None)
