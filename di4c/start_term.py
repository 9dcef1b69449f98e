r"""The start term: the loss at the horizon, where one state is shared by many target atoms.

A student that samples in one call only needs its law at $x_T$. Consistency training with short
jumps learns this law last, backwards over all times. The start term teaches it directly:

- One state $x_T$ of the student is shared by L latents and by all K atoms of the target, so that K
  atoms cost K calls without gradients and only L with.
- Each atom has an $x_T$ of its own. The teacher jumps from it to a small time u in several steps,
  because a single step is a product and teaches no correlations. The student finishes from u.
- Data can be atoms too, because $x_T$ does not depend on $x_0$: all of the same class, if there
  are classes. The samples of a teacher are data as well.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_number
from di4c.denoisers import MixtureNetwork
from di4c.latents import latent_batches
from di4c.likelihood import Mixture
from di4c.losses import Target, consistency_loss, prefetch
from di4c.rng import Generator, repeated_generator
from di4c.teacher_steps import TeacherSampler, exact_step


@dataclass(frozen=True)
class StartTerm:
    r"""Settings of the start term of a recipe.

    Attributes:
        weight: factor of the consistency loss at the horizon; 0 needs no teacher.
        atoms: K, target atoms of each example.
        end: u, where the jump of the teacher ends, as a share of the horizon.
        teacher_steps: number of equal teacher steps of the jump.
        data_weight: factor of -log p(x_0) at the horizon, a mean over up to K data of the
            example's class.
        latent_factor: number of latents at the horizon, as a multiple of the recipe's L. A batch
            of latents cannot show more components than it has, and x_T needs the most.

    Raises:
        ValueError: If a number lies outside of its range.
    """

    weight: float = 1.0
    atoms: int = 64
    end: float = 0.05
    teacher_steps: int = 4
    data_weight: float = 0.0
    latent_factor: int = 1

    def __post_init__(self) -> None:
        for name in ("atoms", "teacher_steps", "latent_factor"):
            check_count(name, getattr(self, name))
        for name in ("weight", "data_weight"):
            check_number(name, getattr(self, name))
        if not self.weight + self.data_weight > 0:
            raise ValueError("weight and data_weight are both 0: use start=None for no start term")
        check_number("end", self.end, "[0, 1)", "u = end * horizon")


def start_loss(
    term: StartTerm,
    student: Mixture,
    target: Target | None,
    data: Target | None,
    control_variate: bool,
) -> Float[Tensor, "group"]:
    r"""The start term: $w\, L_{consis}(x_T) + w_{data}\, \mathbb{E}[-\log p(x_0 | x_T)]$.

    Args:
        term: the weights.
        student: mixtures at the horizon.
        target: $p^\theta_{0|u} \circ p^\psi_{u|T}$, averaged over x_T; None for none.
        data: samples of the data; None for none. At least one of the two is given.
        control_variate: whether the first loss is split by a control variate.

    Returns:
        One loss in nats for each state x_T.
    """
    parts = []
    if target is not None:
        split = control_variate and target.log_marginals is not None
        parts.append(term.weight * consistency_loss(student, target, split).total)
    if data is not None:
        parts.append(term.data_weight * consistency_loss(student, data, False).total)
    return sum(parts[1:], parts[0])


@dataclass(frozen=True)
class StartLoss:
    """Everything that the start term of a training step needs.

    Attributes:
        term: settings.
        teacher: the teacher. It takes exact steps here, whatever its move is elsewhere.
        student: the network that is trained.
        target: the network of the consistency target at u.
        num_latents: latents of the student at the horizon.
        control_variate: whether the consistency loss is split.
    """

    term: StartTerm
    teacher: TeacherSampler
    student: MixtureNetwork
    target: MixtureNetwork
    num_latents: int
    control_variate: bool

    def __call__(
        self, atoms: Int[Tensor, "batch atom dim"], generator: Generator | None
    ) -> Float[Tensor, "batch"]:
        """The start term of each example, in nats.

        Args:
            atoms: data of each example's class, (B, K, D).
            generator: source of all randomness.
        """
        term, (batch, _, num_dims), device = self.term, atoms.shape, atoms.device
        process, count = self.teacher.process, self.num_latents
        x = self.teacher.prior(batch, num_dims, generator, device)
        t = torch.full((batch,), process.horizon, dtype=torch.float64, device=device)
        latents = self._latents(batch, count, generator, device)
        target = self._target(x, t, generator) if term.weight else None
        data = Target.from_samples(atoms, validate=False) if term.data_weight else None
        student = self.student(x[:, None].expand(-1, count, -1), t, latents)
        student = prefetch(student, [one for one in (target, data) if one is not None])
        return start_loss(term, student, target, data, self.control_variate)

    @torch.no_grad()
    def _target(
        self,
        x: Int[Tensor, "batch dim"],
        t: Float[Tensor, "batch"],
        generator: Generator | None,
    ) -> Target:
        """The consistency target at the horizon. Where x_T is random, each atom has its own."""
        count, law, teacher = self.term.atoms, None, replace(self.teacher, move=exact_step)
        if teacher.process.mask_state is not None:  # all atoms are the same: a single call
            one = replace(teacher, num_latents=count if teacher.num_latents else 0)
            law, atoms = one.law(x, t, generator), x[:, None].expand(-1, count, -1)
        else:
            repeated = repeated_generator(generator, count)
            atoms = teacher.prior(len(x) * count, x.shape[1], repeated, x.device)
            atoms = atoms.unflatten(0, (len(x), count))
        u, steps = self.term.end * t, self.term.teacher_steps
        x_u = teacher.jump(atoms, u, t, generator, steps=steps, law=law)
        latents = self._latents(len(x), count, generator, x.device)
        return Target.from_mixture(self.target(x_u, u, latents), generator)

    def _latents(
        self, batch: int, count: int, generator: Generator | None, device: torch.device
    ) -> Tensor:
        options = {"stratified": self.teacher.stratified, "generator": generator, "device": device}
        return latent_batches(self.teacher.latent, (batch, count), **options)
