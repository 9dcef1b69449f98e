"""Frechet distances of few samples with many features, computed from small matrices."""

import pytest
import torch
from tqdm import tqdm

from full_scale.evaluation.frechet import FeatureMoments, FrechetReference
from full_scale.evaluation.scoring import Resampling


def _by_singular_values(real, made):
    r"""Another formula: $\mathrm{tr} (\Sigma_1 \Sigma_2)^{1/2}$ is a sum of singular values.

    With $\Sigma_i = A_i^T A_i$ these are the singular values of $A_1 A_2^T$.
    """
    roots = [(x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (real, made)]
    overlap = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    traces = sum(root.square().sum() for root in roots)
    return float((real.mean(0) - made.mean(0)).square().sum() + traces - 2 * overlap)


@pytest.mark.parametrize("num_real", [4, 40])
@pytest.mark.parametrize("num_made", [2, 5, 29, 30, 60])
def test_distances_of_any_choice(num_real, num_made):
    """30 features; fewer, as many or more samples, and choices that repeat some of them."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(num_real, 30, generator=generator, dtype=torch.float64)
    made = 3 + 2 * torch.randn(num_made, 30, generator=generator, dtype=torch.float64)
    moments = FeatureMoments.of(real)
    distance = FrechetReference(moments.mean, moments.covariance).distances(made)
    drawn = torch.randint(num_made, (num_made,), generator=generator)
    for rows in (torch.arange(num_made), drawn, torch.tensor([0, 1])):
        expected = _by_singular_values(real, made[rows])
        assert distance(rows) == pytest.approx(expected, rel=1e-6)


def test_few_samples_need_no_root_of_the_large_covariance(monkeypatch):
    """With 800 features and 20 samples, no matrix of size 800 is decomposed for an interval."""
    size, count = 800, 20
    generator = torch.Generator().manual_seed(0)
    reference = FrechetReference(torch.zeros(size), torch.eye(size))
    features = torch.randn(count, size, generator=generator)
    sizes, decompose = [], torch.linalg.eigvalsh
    monkeypatch.setattr(torch.linalg, "eigvalsh", lambda x: sizes.append(len(x)) or decompose(x))
    bars = []
    monkeypatch.setattr("tqdm.tqdm", lambda **options: bars.append(tqdm(**options)) or bars[-1])
    found = Resampling(20, 0.95, 0).interval(reference.distances(features), count)
    assert [(bar.n, bar.total) for bar in bars] == [(21, 21)]
    assert sizes == [count] * 21
    assert "_root" not in vars(reference)
    assert found["low"] < found["value"] < found["high"]


def test_features_of_another_size_or_not_finite_are_refused():
    reference = FrechetReference(torch.zeros(5), torch.eye(5))
    with pytest.raises(ValueError, match="size of the reference's, 5; got 4"):
        reference.distances(torch.zeros(3, 4))
    with pytest.raises(ValueError, match="hold NaN or infinity"):
        reference.distances(torch.full((3, 5), torch.nan))
    with pytest.raises(ValueError, match="at least 2 samples for a covariance; got 1"):
        reference.distances(torch.zeros(1, 5))(torch.tensor([0]))
