r"""The training objective of Di4C: draw what the losses need, compute it once, weigh the losses.

For each example, with one student mixture p at $x_t$, the terms are

- distillation: the convex surrogate of L_distil at small t;
- data_correlation and data_marginal: the two parts of the data loss (`di4c.data_term`);
- consistency_correlation and consistency_marginal: the two parts of L_consis;
- start: consistency and data at the horizon (`di4c.start_term`);
- kept: data at all times, for a sampler that keeps its latent (`di4c.kept_latent`).

The target of the consistency terms is the student at the earlier time u, at a state x_u that the
teacher's steps reach.

Source: Hayakawa et al., ICML 2025, Section 3.3 and Appendix A. The losses are in `di4c.losses`, all
choices in a `di4c.recipes.Recipe`.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from di4c.checks import require_tensor, require_type
from di4c.conditioning import Held
from di4c.data_term import data_targets, data_terms
from di4c.denoisers import MixtureNetwork
from di4c.kept_latent import KeptLatentLoss
from di4c.latents import LatentLaw, UniformLatent, latent_batches
from di4c.likelihood.checks import check_data, check_shape, checks_values
from di4c.losses import Target, consistency_loss, distillation_loss, prefetch
from di4c.objective_types import TERMS, Draws, Objective, check_networks, check_settings
from di4c.processes import ForwardProcess
from di4c.processes.times import check_earlier_times
from di4c.recipes import Recipe, SeparateDistillation
from di4c.rng import Generator, repeated_generator
from di4c.start_term import StartLoss
from di4c.teacher_steps import TeacherLaw, TeacherSampler


@dataclass(frozen=True)
class Di4CObjective:
    r"""The Di4C objective: a function from a batch of data to the loss of each example.

    The target is called once, the teacher once for each of its steps, both without autograd. With
    `SeparateDistillation` the teacher is called once more.

    Attributes:
        process: forward process.
        student: the network that is trained.
        teacher: a product teacher (`as_mixture` of its denoiser). For iterated Di4C it is the
            student of an earlier round.
        recipe: times, weights, teacher step, and distillation rule.
        latent: law of the latents.
        target: network of the consistency target at u; the student itself by default.
        teacher_latents: number of latents of a mixture teacher for each example, one for each
            target atom; 0 for a product teacher.
        reference_steps: law of x_t. With 0 it is noised data, $r_t = q_t$. With n > 0 the teacher
            generates x_t in n steps from the prior, which is the r of Theorem 2, also for a
            separate distillation. No x_0 belongs to such an x_t: data_weight must be Weight(0.0),
            and kept None.
        same_calls: whether the networks are called equally often for all times that may be drawn.
            FSDP needs this: its processes share the weights of a network and must call it together.
            If False, a batch in which all examples are distilled skips the consistency target. The
            loss is the same.
        validate: whether to check the values of x_0 and of the times. Mixtures check their own.

    Raises:
        ValueError: If the numbers do not fit the recipe or the horizon, or a network was made for a
            process with other states.

    Example:
        The exact product denoiser as teacher and student: the correlation part is 0.

        >>> import torch
        >>> from di4c import IMAGENET, Di4CObjective, ExactDenoiser, MaskedProcess, as_mixture
        >>> process, law = MaskedProcess(2), torch.tensor([0.5, 0.0, 0.0, 0.5])
        >>> teacher = as_mixture(ExactDenoiser(process, law))
        >>> objective = Di4CObjective(process, student=teacher, teacher=teacher, recipe=IMAGENET)
        >>> found = objective(torch.tensor([[0, 0], [1, 1]]))
        >>> bool((found.terms["data_correlation"].abs() < 1e-9).all())
        True
    """

    process: ForwardProcess
    student: MixtureNetwork
    teacher: MixtureNetwork
    recipe: Recipe
    latent: LatentLaw = field(default_factory=UniformLatent)
    target: MixtureNetwork | None = None
    teacher_latents: int = 0
    reference_steps: int = 0
    same_calls: bool = False
    validate: bool = True
    _held: Held = field(default_factory=Held, repr=False)  # set by a call

    def __post_init__(self) -> None:
        check_networks(self.process, student=self.student, teacher=self.teacher, target=self.target)
        check_settings(
            self.process.horizon, self.recipe, self.teacher_latents, self.reference_steps
        )
        require_type("latent", self.latent, LatentLaw, "a law of the latents, as UniformLatent()")

    def __call__(
        self,
        x_0: Int[Tensor, "batch dim"],
        *,
        generator: Generator | None = None,
        times: tuple[Tensor, Tensor] | None = None,
        start_atoms: Int[Tensor, "batch atom dim"] | None = None,
        fixed: Bool[Tensor, "batch dim"] | None = None,
        valid: Bool[Tensor, "batch dim"] | None = None,
    ) -> Objective:
        """Loss and weighted terms of each example of the batch.

        Args:
            x_0: data, (B, D).
            generator: source of all randomness, on the device of x_0. With `SampleGenerators` the
                loss of an example does not depend on the batch that it is part of.
            times: (t, u), each (B,); drawn by the recipe if None.
            start_atoms: data for the start term or for `Recipe.kept`, (B, K, D): each example's
                own x_0 if None.
            fixed: which coordinates are given, such as a prompt, (B, D). They are conditioned on,
                never noised and never counted. Only for masked noise.
            valid: which coordinates are no padding, (B, D). Padding is neither noised nor counted.
                It holds any value but the mask. The networks must not look at it.

        Returns:
            The loss (B,) in nats, and its terms.

        Raises:
            ValueError: If x_0 is no data of the process, fixed or valid do not fit it, times are
                not 0 <= u < t <= horizon, or a network returns a mixture of another shape (see
                `di4c.losses`).
        """
        require_tensor("x_0", x_0)
        if checks_values(self.validate):
            check_data("x_0", x_0, self.process)
        held = Held.of(self.process, "x_0", x_0, fixed, valid, self.validate)
        if start_atoms is not None:
            require_tensor("start_atoms", start_atoms)
        if start_atoms is not None and self.validate:
            held.check_atoms("start_atoms", start_atoms)
        return self._holding(held)._evaluate(x_0, generator, times, start_atoms)

    def _evaluate(
        self,
        x_0: Int[Tensor, "batch dim"],
        generator: Generator | None,
        times: tuple[Tensor, Tensor] | None,
        start_atoms: Int[Tensor, "batch atom dim"] | None,
    ) -> Objective:
        """Loss and terms, with the held coordinates known to all networks."""
        draws = self.draw(x_0, generator=generator, times=times)
        recipe, rule = self.recipe, self.recipe.distillation
        terms = self._at_x_t(x_0, draws, generator)
        atoms = x_0[:, None] if start_atoms is None else start_atoms
        distilled = self._repeat(x_0, recipe.num_latents)
        if recipe.kept is not None:
            kept = KeptLatentLoss(recipe.kept, recipe.times, self._teacher, self.student)
            data = recipe.kept.data(atoms)
            terms["kept"] = kept(data, generator)
            distilled = data[:, : recipe.num_latents]
        if isinstance(rule, SeparateDistillation):
            found = self._separate(distilled, draws.latents, rule, generator)
            terms["distillation"] = rule.weight * found
        if recipe.start is not None:
            start = StartLoss(
                recipe.start,
                self._teacher,
                self.student,
                self.target or self.student,
                num_latents=recipe.start.latent_factor * recipe.num_latents,
                control_variate=recipe.control_variate,
            )
            terms["start"] = start(atoms, generator)
        zero = torch.zeros_like(next(iter(terms.values()), draws.t))
        terms = {name: terms.get(name, zero) for name in TERMS}
        return Objective(sum(terms.values(), zero), terms)

    def _at_x_t(
        self, x_0: Int[Tensor, "batch dim"], draws: Draws, generator: Generator | None
    ) -> dict[str, Float[Tensor, "batch"]]:
        """The terms with the student's mixture at x_t; empty if the recipe has none there."""
        recipe, rule = self.recipe, self.recipe.distillation
        teacher = self._teacher.law(draws.x_t, draws.t, generator)
        distilled = rule.active(draws.t)
        targets = data_targets(recipe, x_0, teacher.log_marginals)
        num_data = len(targets)
        if recipe.consistency_weight and (self.same_calls or not bool(distilled.all())):
            targets.append(self._consistency_target(teacher, draws, generator))
        if not targets and not bool(distilled.any()):
            return {}
        x_t = self._repeat(draws.x_t, recipe.num_latents)
        student = self.student(x_t, draws.t, draws.latents)
        student = prefetch(student, targets, [teacher.log_marginals] if distilled.any() else [])
        terms = {}
        for target in targets[:num_data]:
            terms |= data_terms(recipe, student, target, draws.t)
        for target in targets[num_data:]:
            both = consistency_loss(student, target, recipe.control_variate)
            for name, part in zip(("correlation", "marginal"), both, strict=True):
                part = torch.where(distilled, 0.0, recipe.consistency_weight * part)
                terms[f"consistency_{name}"] = part
        if bool(distilled.any()):
            term = rule.weight * distillation_loss(student, teacher.log_marginals)
            terms["distillation"] = torch.where(distilled, term, 0.0)
        return terms

    def draw(
        self,
        x_0: Int[Tensor, "batch dim"],
        *,
        generator: Generator | None = None,
        times: tuple[Tensor, Tensor] | None = None,
    ) -> Draws:
        """Draw the times, noisy states and latents of one evaluation."""
        batch, device = len(x_0), x_0.device
        if times is None and self.process.horizon != 1:
            raise ValueError(
                f"process must have horizon 1, because the times of a recipe lie in (0, 1]; got "
                f"{self.process.horizon}: rescale its schedule, or give times=(t, u)"
            )
        t, u = times or self.recipe.times.draw(batch, generator, device)
        for time in (t, u):
            require_tensor("times", time)
            check_shape("times", time, (batch,), "batch", "give one t and one u for each example")
        if self.validate:
            check_earlier_times(u, t, self.process.horizon)
        if self.reference_steps:
            x_t = self._teacher.generate(t, x_0.shape[1], self.reference_steps, generator)
        else:
            x_t = self.process.sample(x_0, 0.0, t, generator=generator)
        x_t = self._held.keep(x_t)
        counts = (self.recipe.num_latents, self.recipe.num_atoms)
        latents = (self._latents(batch, count, generator, device) for count in counts)
        return Draws(t, u, x_t, *latents)

    @property
    def _teacher(self) -> TeacherSampler:
        return TeacherSampler(
            self.process,
            self.teacher,
            self.latent,
            self.teacher_latents,
            self.recipe.stratified,
            self.recipe.teacher_move,
            self._held,
        )

    def _holding(self, held: Held) -> "Di4CObjective":
        """The same objective for networks that see the held coordinates and are sure of them."""
        target = self.target or self.student
        networks = {"student": self.student, "teacher": self.teacher, "target": target}
        return replace(self, _held=held, **{k: held.network(v) for k, v in networks.items()})

    def _latents(
        self, batch: int, count: int, generator: Generator | None, device: torch.device
    ) -> Shaped[Tensor, "batch latent ..."]:
        return latent_batches(
            self.latent,
            (batch, count),
            stratified=self.recipe.stratified,
            generator=generator,
            device=device,
        )

    def _repeat(self, x: Int[Tensor, "batch dim"], count: int) -> Int[Tensor, "batch copy dim"]:
        return x[:, None].expand(-1, count, -1)

    @torch.no_grad()
    def _consistency_target(
        self, teacher: TeacherLaw, draws: Draws, generator: Generator | None
    ) -> Target:
        r"""$p^\theta_{0|u} \circ p^\psi_{u|t}$; each atom has its own x_u, latent and x_0."""
        x_t, steps = self._repeat(draws.x_t, self.recipe.num_atoms), self.recipe.teacher_steps
        x_u = self._teacher.jump(x_t, draws.u, draws.t, generator, steps=steps, law=teacher)
        network = self.target or self.student
        return Target.from_mixture(network(x_u, draws.u, draws.target_latents), generator)

    def _separate(
        self,
        x_0: Int[Tensor, "batch copy dim"],
        latents: Shaped[Tensor, "batch latent ..."],
        rule: SeparateDistillation,
        generator: Generator | None,
    ) -> Float[Tensor, "batch"]:
        """Distillation loss at small times, (B,). Each x_0 gets its own time, state and latent."""
        batch, count, num_dims = x_0.shape
        x_0, latents = x_0.flatten(0, 1), latents[:, :count].flatten(0, 1)
        repeated = repeated_generator(generator, count)
        t = rule.draw(len(x_0), repeated, x_0.device)
        if self.reference_steps:
            x = self._teacher.generate(t, num_dims, self.reference_steps, repeated)
        else:
            x = self._held.keep(self.process.sample(x_0, 0.0, t, generator=repeated))
        log_teacher = self._teacher.law(x, t, repeated).log_marginals
        student = self.student(x[:, None], t, latents[:, None])
        return distillation_loss(student, log_teacher).unflatten(0, (batch, count)).mean(1)
