"""Recipes: the times that they draw, the published ones, and what is refused."""

import pytest
import torch

from di4c import exact
from di4c.denoisers import as_mixture
from di4c.objective import TERMS, Di4CObjective
from di4c.processes import MaskedProcess, UniformProcess, gaussian_process
from di4c.recipe_times import FixedGap, FixedRatio, LogUniformGap, SmallTimesOften
from di4c.recipes import CIFAR10, IMAGENET, OPENWEBTEXT, DistillationBelow, Recipe, Weight
from tests.helpers.two_bit_objective import objective_on


@pytest.mark.parametrize(
    ("times", "check"),
    [
        (LogUniformGap(), lambda t, g: (t >= 0.01) & (g >= 0.001 - 1e-12) & (g <= 0.01 + 1e-12)),
        (FixedGap(), lambda t, g: (t > 0) & (g <= 0.05 + 1e-12)),
        (FixedRatio(0.2), lambda t, g: (g - 0.8 * t).abs() < 1e-12),
        (SmallTimesOften(), lambda t, g: (g - (t / 2).clamp_max(1 / 1024)).abs() < 1e-12),
    ],
    ids=lambda x: type(x).__name__,
)
def test_times_have_the_range_and_mean_of_their_law(times, check):
    t, u = times.draw(200_000, torch.Generator().manual_seed(0))
    assert ((u >= 0) & (u < t) & (t <= 1)).all()
    assert check(t, t - u).all()
    if isinstance(times, SmallTimesOften):
        assert float((t < 0.02).double().mean()) == pytest.approx(0.3, abs=0.005)
    else:
        middle = 0.507 if isinstance(times, LogUniformGap) else 0.5
        assert float(t.mean()) == pytest.approx(middle, abs=0.005)


def test_published_recipes_give_finite_losses():
    x_0 = exact.states(2, 2)
    for process, recipe in (
        (UniformProcess(2), CIFAR10),
        (MaskedProcess(2), IMAGENET),
        (MaskedProcess(2), OPENWEBTEXT),
    ):
        result = objective_on(process, recipe)(x_0, generator=torch.Generator().manual_seed(0))
        assert tuple(result.terms) == TERMS
        assert result.loss.isfinite().all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("recipe", [CIFAR10, IMAGENET, OPENWEBTEXT], ids=["cifar", "in", "owt"])
def test_published_recipes_stay_on_the_device_of_the_data(recipe):
    process = gaussian_process(4) if recipe is CIFAR10 else MaskedProcess(4)

    def network(x_t, t, latent):
        return torch.zeros(*x_t.shape, 4, device=x_t.device).log_softmax(-1)

    objective = Di4CObjective(process, as_mixture(network), as_mixture(network), recipe)
    x_0 = torch.zeros(2, 6, dtype=torch.long, device="cuda")
    loss = objective(x_0, generator=torch.Generator("cuda").manual_seed(0)).loss
    assert loss.device == x_0.device
    assert bool(loss.isfinite().all())


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Recipe(FixedGap(), Weight(), DistillationBelow(0.1), 0), "num_latents.*0"),
        (lambda: Weight(1.0, "cubic"), "shape.*'cubic'"),
        (lambda: Weight(-1.0), "scale.*-1.0"),
    ],
)
def test_bad_input_is_refused_with_argument_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()
