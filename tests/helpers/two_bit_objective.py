"""An objective on two bits whose teacher is exact and whose student depends on everything."""

import torch

from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.latents import FiniteLatent
from di4c.objective import Di4CObjective
from di4c.recipes import DistillationBelow, FixedGap, Recipe, Weight

LAW = torch.tensor([0.4, 0.1, 0.05, 0.45], dtype=torch.float64)
SUPPORT = torch.tensor([0.2, 0.8], dtype=torch.float64)
RECIPE = Recipe(
    times=FixedGap(),
    data_weight=Weight(0.5, "constant"),
    distillation=DistillationBelow(0.1),
    num_latents=2,
    data_control_variate=True,
    data_marginal_weight=1.0,
)


def student_log_probs(x_t, t, latent):
    """A denoiser of two bits that depends on state, time and latent and has no parameters."""
    logit = 1.3 * torch.sin(3.0 * x_t + 5 * latent[:, None]) + t[:, None] * latent[:, None]
    logit = logit + 0.4 * torch.roll(x_t, 1, 1) * torch.tensor([1.0, -2.0])
    return torch.stack([logit, -logit], -1).log_softmax(-1)


def objective_on(process, recipe=RECIPE, **options):
    return Di4CObjective(
        process,
        as_mixture(student_log_probs),
        as_mixture(ExactDenoiser(process, LAW)),
        recipe,
        latent=FiniteLatent(SUPPORT),
        **options,
    )
