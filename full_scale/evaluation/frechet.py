r"""Frechet distance between Gaussian fits of two sets of features (Heusel et al. 2017; FID).

$d^2 = \Vert\mu_1 - \mu_2\Vert^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})$

Which features makes it a metric of something: Inception's pool layer gives FID, grey levels give a
distance in pixel space. It depends on the number of samples: compare equal numbers only.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass
class FeatureMoments:
    """Mean and scatter matrix of features, gathered batch by batch in constant memory.

    Attributes:
        count: N, features seen.
        mean: (F,), float64.
        scatter: sum of (f - mean)(f - mean)^T, (F, F), float64.
    """

    count: int
    mean: Float[Tensor, "feature"]
    scatter: Float[Tensor, "feature feature"]

    @classmethod
    def of(cls, features: Float[Tensor, "sample feature"]) -> "FeatureMoments":
        """Moments of one batch.

        Raises:
            ValueError: If features are not a matrix with at least one row of finite numbers.
        """
        if features.ndim != 2 or len(features) == 0:
            raise ValueError(
                "features must have shape (samples, features) with at least one sample; got "
                f"{tuple(features.shape)}"
            )
        features = features.double()
        if not bool(features.isfinite().all()):
            raise ValueError("features hold NaN or infinity; look at the samples they came from")
        mean = features.mean(0)
        centred = features - mean
        return cls(len(features), mean, centred.T @ centred)

    def merged(self, other: "FeatureMoments") -> "FeatureMoments":
        """Moments of both sets together (the pairwise update of Chan et al. 1979)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        cross = torch.outer(shift, shift) * (self.count * other.count / count)
        return FeatureMoments(count, mean, self.scatter + other.scatter + cross)

    def first(self, num_features: int) -> "FeatureMoments":
        """Moments of the first features alone."""
        kept = slice(num_features)
        return FeatureMoments(self.count, self.mean[kept], self.scatter[kept, kept])

    @property
    def covariance(self) -> Float[Tensor, "feature feature"]:
        """Unbiased covariance, (F, F).

        Raises:
            ValueError: If there are fewer than two samples.
        """
        if self.count < 2:
            raise ValueError(f"features need at least 2 samples for a covariance; got {self.count}")
        return self.scatter / (self.count - 1)


def frechet_distance(first: FeatureMoments, second: FeatureMoments) -> float:
    r"""The squared Frechet distance $d^2$, which is what papers call FID.

    $\mathrm{tr} (\Sigma_1 \Sigma_2)^{1/2}$ is the sum of the square roots of the eigenvalues of the
    symmetric matrix $\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}$, so that covariances without full rank
    (fewer samples than features) are no special case.

    Raises:
        ValueError: If the numbers of features differ, or one set has fewer than two samples.
    """
    return FrechetReference(first.mean, first.covariance).distance(second)


class FrechetReference:
    """Distances of many sets to the same one, whose square root is computed once.

    Args:
        mean: of the reference, usually real data.
        covariance: of the reference; published statistics come as these two.
    """

    def __init__(
        self, mean: Float[Tensor, "feature"], covariance: Float[Tensor, "feature feature"]
    ) -> None:
        self.mean, self.covariance = mean.double(), covariance.double()
        values, vectors = torch.linalg.eigh(self.covariance)
        self._root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T

    def distance(self, moments: FeatureMoments) -> float:
        """See `frechet_distance`."""
        if moments.mean.shape != self.mean.shape:
            raise ValueError(
                f"features must be of one kind; got {len(self.mean)} and {len(moments.mean)} a "
                "sample"
            )
        covariance = moments.covariance
        product = self._root @ covariance @ self._root
        overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
        trace = self.covariance.trace() + covariance.trace()
        return float((self.mean - moments.mean).square().sum() + trace - 2 * overlap)
