"""A random student with random targets, and all losses of the two."""

import torch

from di4c.likelihood import DenseMixture
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss


class RandomLosses:
    """A random student and random targets; S^D need not be enumerable."""

    def __init__(self, seed, batch, num_latents, num_dims, num_states, num_atoms):
        self.generator = torch.Generator().manual_seed(seed)
        self.logits = 2 * self.randn(batch, num_latents, num_dims, num_states)
        self.log_weights = self.randn(num_latents).log_softmax(-1)
        self.log_teacher = self.randn(batch, num_dims, num_states).log_softmax(-1)
        shape = (batch, num_atoms, num_dims)
        atoms = torch.randint(num_states, shape, generator=self.generator)
        weights = self.randn(batch, num_atoms).softmax(-1)
        self.target = Target(atoms, weights, self.log_teacher)
        self.data = Target.from_samples(atoms[:, :1], self.log_teacher)

    def randn(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    @property
    def student(self):
        return DenseMixture.from_logits(self.logits, self.log_weights)

    def losses(self, student=None):
        """Every loss and every part of it, (batch,) each."""
        student = student or self.student
        return [
            *consistency_loss(student, self.target),
            *data_loss(student, self.data),
            distillation_loss(student, self.log_teacher),
            consistency_loss(student, self.target, control_variate=False).correlation,
        ]
