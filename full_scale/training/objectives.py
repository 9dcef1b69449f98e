"""What a run trains: a teacher by cross-entropy, or a Di4C student."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor, nn

from di4c.denoisers import MixtureNetwork
from di4c.diagnostics import captured_total_correlation, collapse_alarm
from di4c.latents import LatentLaw, LatentPolicy
from di4c.likelihood import DenseMixture, HeadMixture
from di4c.objective import Di4CObjective, Objective
from di4c.processes import ForwardProcess
from di4c.recipes import Recipe
from di4c.rng import Generator, SampleGenerators, uniform
from full_scale.models.base import DenoiserConfig
from full_scale.models.network import Network
from full_scale.models.sampling import Plan, draw, samples_at_once
from full_scale.training.config import Run

DIAGNOSED = 4
"""Number of examples of a batch that the diagnostics use."""

_PREVIEW_BYTES = 2**31  # for the probabilities of a sheet; training needs the rest


@dataclass(kw_only=True)
class TrainingObjective(ABC):
    """Common base of the training of teachers and of students.

    Attributes:
        network: the network that is trained.
        config: sizes of the network.
        process: the forward process.
        label_dropout: share of the examples that are shown without their label.
        target: network of the consistency target; None for the trained network itself, or where
            there is no such target.
    """

    network: nn.Module
    config: DenoiserConfig
    process: ForwardProcess
    label_dropout: float = 0.0
    target: nn.Module | None = None

    @abstractmethod
    def loss(self, network: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Objective:
        """Loss and terms of each example of a batch.

        Args:
            network: the trained network, as the processes share it.
            batch: "x_0" (B, D), and "label" (B,) if the data has classes.
            generator: source of all random draws except dropout.
        """

    def diagnose(
        self, network: nn.Module, batch: dict[str, Tensor], generator: Generator
    ) -> dict[str, float | bool]:
        """Further numbers about the network, besides the loss terms, for the log."""
        return {}

    def to(self, device: torch.device) -> None:  # noqa: B027  # nothing to move by default
        """Move everything except the trained network to a device."""

    def labels(
        self, batch: dict[str, Tensor], generator: Generator | None
    ) -> Int[Tensor, "batch"] | None:
        """Labels of a batch, some replaced by "no class"; None if the network takes no labels."""
        if self.config.num_classes is None:
            return None
        labels = batch["label"]
        draws = uniform((len(labels),), generator=generator, device=labels.device)
        return torch.where(draws < self.label_dropout, self.config.num_classes, labels)

    def preview(self, network: nn.Module, run: Run, device: torch.device) -> Tensor:
        """Samples (N, D), drawn with the same noise each time, so that sheets can be compared."""
        count, model = run.reports.num_samples, Network(network, self.process)
        size = samples_at_once(model, _PREVIEW_BYTES, count)
        parts = []
        for start in range(0, count, size):
            positions, labels = range(start, min(count, start + size)), None
            if self.config.num_classes is not None:
                labels = torch.tensor(positions, device=device) % self.config.num_classes
            parts.append(
                draw(
                    model,
                    len(positions),
                    Plan(run.reports.sample_steps),
                    latent=self.latent_policy(),
                    labels=labels,
                    generator=SampleGenerators(run.seed, positions, "preview"),
                ).samples
            )
        return torch.cat(parts)

    def latent_policy(self) -> LatentPolicy | None:
        """Where samplers get latents from; None for a network without latents."""
        return None


@dataclass(kw_only=True)
class TeacherTraining(TrainingObjective):
    r"""Train a product denoiser by cross-entropy.

    The loss is $\mathbb{E}_t\, \sum_d -\log p^d_{0|t}(x_0^d | x_t)$.

    At every t, the loss is smallest for the true marginals of the posterior. A product teacher can
    represent only these marginals, and a sampler that is parametrised by $x_0$ needs only them.
    The ELBO has the same minimiser, but weights times by the rates of the noise, which are
    unbounded as t goes to 0. Times are uniform from `config.first_time` to the horizon. The first
    time is 0.01 for pixels, where samplers end, and 0 for masks.
    """

    def loss(self, network: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Objective:
        """Cross-entropy of each example, in nats."""
        x_0 = batch["x_0"]
        first = self.config.first_time
        draws = uniform((len(x_0),), generator=generator, device=x_0.device)
        t = self.process.horizon - (self.process.horizon - first) * draws
        x_t = self.process.sample(x_0, 0.0, t, generator=generator)
        model = Network(network, self.process, self.labels(batch, generator), keep_mask=False)
        at_x_0 = model.mixture(x_t[:, None], t, None).gather(x_0[:, None])  # (B, 1, D, 1)
        loss = -at_x_0.sum((1, 2, 3))
        return Objective(loss, {"cross_entropy": loss})


def latent_use(
    mixture: DenseMixture | HeadMixture, generator: Generator | None
) -> dict[str, float | bool]:
    """How much a student uses its latent: diagnostics of mixtures at the horizon, for the log."""
    gathered = mixture.gather(mixture.draw(generator)[0])
    use = collapse_alarm(gathered, mixture.log_weights)
    captured = captured_total_correlation(gathered, mixture.log_weights).mean.mean()
    return {
        "captured_correlation": float(captured),
        "latent_information": use.information,
        "effective_components": use.effective_components,
        "collapsed": use.collapsed,
    }


def without_dropout(network: nn.Module, mixture: MixtureNetwork) -> MixtureNetwork:
    """The same mixture, with the network in evaluation mode during each call."""

    def evaluated(x_t: Tensor, t: Tensor, latents: Tensor | None) -> DenseMixture | HeadMixture:
        training = network.training
        network.eval()
        try:
            return mixture(x_t, t, latents)
        finally:
            network.train(training)

    return evaluated


@dataclass(kw_only=True)
class Distillation(TrainingObjective):
    """Train a Di4C student of a teacher.

    Attributes:
        teacher: a product denoiser, or the student of an earlier round (`mixture_teacher`).
        recipe: times, weights, teacher step, number of latents.
        latent: law of the latents.
        mixture_teacher: whether the teacher takes latents.
        sharded: whether each process holds a shard of the student's weights. All processes must
            then call the student equally often.
        reference_steps: number of steps in which the teacher generates x_t; 0 for noised data.
    """

    teacher: nn.Module
    recipe: Recipe
    latent: LatentLaw
    mixture_teacher: bool = False
    sharded: bool = False
    reference_steps: int = 0

    def to(self, device: torch.device) -> None:
        """Move the teacher to a device."""
        self.teacher.to(device).eval().requires_grad_(False)

    def loss(self, network: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Objective:
        """The Di4C objective of each example (`di4c.objective`)."""
        labels = self.labels(batch, generator)
        student = Network(network, self.process, labels).mixture
        if self.target is not None:
            target = Network(self.target, self.process, labels).mixture
        else:
            target = student if self.recipe.target_dropout else without_dropout(network, student)
        objective = Di4CObjective(
            process=self.process,
            student=student,
            target=target,
            teacher=Network(self.teacher, self.process, labels).mixture,
            recipe=self.recipe,
            latent=self.latent,
            teacher_latents=self.recipe.num_atoms if self.mixture_teacher else 0,
            reference_steps=self.reference_steps,
            same_calls=self.sharded,
        )
        atoms = batch.get("start_atoms")
        return objective(batch["x_0"], generator=generator, start_atoms=atoms)

    def diagnose(
        self, network: nn.Module, batch: dict[str, Tensor], generator: Generator
    ) -> dict[str, float | bool]:
        """How the student uses its latent at the horizon, where it matters most."""
        x_0 = batch["x_0"][:DIAGNOSED]
        labels = self.labels(batch, generator)
        t = torch.full((len(x_0),), self.process.horizon, dtype=torch.float64, device=x_0.device)
        x_t = self.process.sample(x_0, 0.0, t, generator=generator)
        count = self.recipe.num_latents
        shape = (len(x_0), count, *self.latent.uniform_shape)
        latents = self.latent.quantile(uniform(shape, generator=generator, device=x_0.device))
        model = Network(network, self.process, None if labels is None else labels[: len(x_0)])
        mixture = model.mixture(x_t[:, None].expand(-1, count, -1), t, latents)
        return latent_use(mixture, generator)

    def latent_policy(self) -> LatentPolicy:
        """The latents that the student is trained for."""
        return LatentPolicy(self.recipe.redraw, law=self.latent)
