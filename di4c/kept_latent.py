r"""One latent for a whole sample: which latents belong to a noisy state.

A sampler that keeps its latent (`LatentPolicy("fixed")`) asks the student for
$p(x_0 | x_t; \lambda)$ with the latent that made $x_t$. That latent is not independent of $x_t$.
After the first call, for masked noise, its law is

$$\pi(\lambda | x_t) \propto \prod_{d\ \text{shown}} p^d(x_t^d | x_T; \lambda),$$

because a coordinate is shown with the same probability for every latent. So a student that is
trained to keep its latent gets latents of this law at $x_t$. Each latent then means the same at all
times, and the student need not learn a second meaning for the states between. The law is exact for
the second call of a sampler. For later calls it is an approximation, since they show coordinates
that another call has drawn.

The law is computed without gradients. Such a sampler is no Markov chain in $x_t$ alone, so Theorem
2 says nothing about it. All of this is ours, not the paper's.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from di4c.denoisers import MixtureNetwork
from di4c.latents import LatentLaw, latent_batches
from di4c.likelihood import Mixture
from di4c.processes import ForwardProcess
from di4c.recipes import Recipe
from di4c.rng import Generator, stratified_uniform, uniform


@dataclass(frozen=True)
class FirstCall:
    """The first call of a student with P latents for each example.

    Attributes:
        start: the states at the horizon, (B, D).
        mask_state: the number of the mask.
        latents: (B, P, ...).
        mixture: the student's mixture at the horizon, of P components.
        stratified: whether the latents of a state are stratified.
    """

    start: Int[Tensor, "batch dim"]
    mask_state: int
    latents: Shaped[Tensor, "batch pool ..."]
    mixture: Mixture
    stratified: bool = False

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        recipe: Recipe,
        student: MixtureNetwork,
        process: ForwardProcess,
        law: LatentLaw,
        start: Int[Tensor, "batch dim"],
        *,
        generator: Generator | None = None,
    ) -> "FirstCall":
        """Make the call.

        Args:
            recipe: its `latent_pool` is P.
            student: the network.
            process: the masked noise.
            law: law of the latents.
            start: the states at the horizon, (B, D).
            generator: source of randomness.
        """
        pool, stratified, device = recipe.latent_pool, recipe.stratified, start.device
        options = {"stratified": stratified, "generator": generator, "device": device}
        latents = latent_batches(law, (len(start), pool), **options)
        if latents.ndim == 2:  # in order, so that stratified draws are spread over all of them
            latents = latents.sort(1).values
        t = torch.full((len(start),), process.horizon, dtype=torch.float64, device=device)
        mixture = student(start[:, None].expand(-1, pool, -1), t, latents)
        assert process.mask_state is not None
        return cls(start, process.mask_state, latents, mixture, stratified)

    @torch.no_grad()
    def latents_of(
        self,
        x_t: Int[Tensor, "batch state dim"],
        count: int,
        generator: Generator | None,
    ) -> Shaped[Tensor, "batch state latent ..."]:
        """Latents of each state, drawn from the P latents by their probability given the state.

        Args:
            x_t: N noisy states of each example, (B, N, D).
            count: number of latents of each state.
            generator: source of randomness.

        Returns:
            (B, N, count, ...).
        """
        shown = (x_t != self.mask_state) & (self.start == self.mask_state)[:, None]
        logs = self.mixture.gather(torch.where(shown, x_t, 0))  # (B, P, D, N)
        logs = torch.where(shown.mT[:, None], logs, 0).double().sum(2)
        # A state that no component can show says nothing about the latent.
        logs = torch.where(logs.isneginf().all(1, keepdim=True), 0.0, logs)
        sums = logs.softmax(1).mT.cumsum(2)  # (B, N, P)
        shape, options = (*x_t.shape[:2], count), {"generator": generator, "device": x_t.device}
        draws = (stratified_uniform if self.stratified else uniform)(shape, **options).double()
        chosen = torch.searchsorted(sums, draws * sums[..., -1:], right=True)
        chosen = chosen.clamp_max(sums.shape[2] - 1).flatten(1)
        rows = torch.arange(len(x_t), device=x_t.device)[:, None]
        return self.latents[rows, chosen].unflatten(1, shape[1:])
