r"""One latent for a whole sample: training for a sampler that keeps its latent.

A student with independent latents must learn at every time anew what a latent means. A sampler that
keeps its latent (`LatentPolicy("fixed")`) asks for less: a latent chooses one law of $x_0$ at the
start, and the later calls only refine it. The law of its samples is a mixture over whole paths,

$$P(x_0) = \mathbb{E}_\lambda\, P_\lambda(x_0), \qquad
-\log P(x_0) \le \mathrm{KL}(\pi \| p_\lambda) - \mathbb{E}_{\lambda \sim \pi} \log P_\lambda(x_0)
\quad \text{for every law } \pi.$$

The loss takes for $\pi$ the law of the latent given $x_0$ after one call,
$\pi(\lambda | x_0) \propto p(x_0 | x_T; \lambda)$, on a pool of P latents, and trains

$$L = \mathbb{E}_t\, \mathbb{E}_{\lambda \sim \pi(\cdot | x_0)}\,[-\log p(x_0 | x_t; \lambda)].$$

This is the EM algorithm with drawn latents. At t = T the mean of its gradient is that of the
likelihood of the mixture of all P components, $-\log \frac{1}{P} \sum_j p(x_0 | x_T; \lambda_j)$.
At other times the loss is the cross-entropy of a denoiser that knows the latent, which every later
call of a path needs. A state costs one call with gradients. The pool costs P calls without, so it
can be large, and a mixture cannot show more components than it has.

In training a latent fits $x_0$. In sampling it fits only what the path has shown so far, and at
small times it says less about $x_0$ than the student has learned to expect. There a recipe can
leave this loss out (`Recipe.times`), and distil the teacher (`SeparateDistillation`) with latents
that are independent of $x_0$.

The loss is ours, not the paper's. Samples of a teacher as x_0 make it a distillation without data.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from di4c.checks import check_count, check_number
from di4c.denoisers import MixtureNetwork
from di4c.latents import latent_batches
from di4c.losses import Target, consistency_loss, prefetch
from di4c.recipe_times import Times
from di4c.rng import Generator, categorical, repeated_generator
from di4c.teacher_steps import TeacherSampler


@dataclass(frozen=True)
class KeptLatent:
    """Settings of a recipe for students that keep their latent.

    Attributes:
        pool: P, number of latents among which each x_0 finds its own.
        states: number of noisy states of each example, each of another x_0 of its class.
        start_share: share of the states at the horizon. The recipe draws the times of the others.
        weight: factor of the loss.

    Raises:
        ValueError: If a number lies outside of its range.
    """

    pool: int = 256
    states: int = 64
    start_share: float = 0.5
    weight: float = 1.0

    def __post_init__(self) -> None:
        for name in ("pool", "states"):
            check_count(name, getattr(self, name))
        check_number("start_share", self.start_share, "[0, 1]")
        check_number("weight", self.weight, "(0, inf)", "use kept=None for no loss")

    def data(self, atoms: Int[Tensor, "batch atom dim"]) -> Int[Tensor, "batch state dim"]:
        """The datum of each state: the first atoms, or a single one for all.

        Raises:
            ValueError: If there are fewer atoms than states, and more than one.
        """
        if atoms.shape[1] == 1:
            return atoms.expand(-1, self.states, -1)
        if atoms.shape[1] < self.states:
            raise ValueError(
                f"start_atoms must hold {self.states} atoms, one for each state of the recipe; got "
                f"{atoms.shape[1]}"
            )
        return atoms[:, : self.states]


@dataclass(frozen=True)
class KeptLatentLoss:
    """Everything that the loss needs in one training step.

    Attributes:
        settings: settings of the recipe.
        times: how the recipe draws times.
        sampler: process, prior, and law of the latents. The teacher itself is not called.
        student: the network that is trained; it sees held coordinates at their value.
    """

    settings: KeptLatent
    times: Times
    sampler: TeacherSampler
    student: MixtureNetwork

    def __call__(
        self, x_0: Int[Tensor, "batch state dim"], generator: Generator | None
    ) -> Float[Tensor, "batch"]:
        """The weighted loss of each example, in nats.

        Args:
            x_0: the datum of each state, all of the example's class, (B, K, D).
            generator: source of all randomness.
        """
        batch, count = x_0.shape[:2]
        latents = self.latents(x_0, generator).flatten(0, 1)
        x_0 = x_0.flatten(0, 1)
        repeated = repeated_generator(generator, count)
        t = self._draw_times(batch, count, repeated, x_0.device)
        x_t = self.sampler.process.sample(x_0, 0.0, t, generator=repeated)
        target = Target.from_samples(x_0[:, None], validate=False)
        student = self.student(x_t[:, None], t, latents[:, None])
        loss = consistency_loss(prefetch(student, [target]), target, False).total
        return self.settings.weight * loss.unflatten(0, (batch, count)).mean(1)

    @torch.no_grad()
    def latents(
        self, x_0: Int[Tensor, "batch state dim"], generator: Generator | None
    ) -> Shaped[Tensor, "batch state ..."]:
        """A latent for each datum, drawn from the pool by its probability given the datum.

        Args:
            x_0: data of each example's class, (B, K, D).
            generator: source of all randomness.
        """
        sampler, pool, (batch, _, num_dims) = self.sampler, self.settings.pool, x_0.shape
        options = {"generator": generator, "device": x_0.device}
        latents = latent_batches(
            sampler.latent, (batch, pool), stratified=sampler.stratified, **options
        )
        start = sampler.prior(batch, num_dims, generator, x_0.device)
        t = torch.full((batch,), sampler.process.horizon, dtype=torch.float64, device=start.device)
        mixture = self.student(start[:, None].expand(-1, pool, -1), t, latents)
        law = mixture.gather(x_0).double().sum(2)  # (B, P, K)
        # A datum that no component can give says nothing about the latent.
        law = torch.where(law.isneginf().all(1, keepdim=True), 0.0, law).softmax(1)
        chosen = categorical(law.mT, generator=generator)
        return latents[torch.arange(batch, device=x_0.device)[:, None], chosen]

    def _draw_times(
        self, batch: int, count: int, generator: Generator | None, device: torch.device
    ) -> Float[Tensor, "row"]:
        """Times of all states, those of an example one after the other."""
        t, _ = self.times.draw(batch * count, generator, device)
        at_start = torch.arange(count, device=device) < round(self.settings.start_share * count)
        return torch.where(at_start.repeat(batch), self.sampler.process.horizon, t)
