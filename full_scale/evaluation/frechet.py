r"""Frechet distance between Gaussian fits of two sets of features (Heusel et al. 2017; FID).

$d^2 = \Vert\mu_1 - \mu_2\Vert^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1 \Sigma_2)^{1/2})$

The features decide what the distance measures. Inception's pool layer gives FID; grey levels give a
distance in pixel space. The distance depends on the number of samples, so compare equal numbers.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

_ROUNDING = 1e-6
"""Relative rounding error of a published covariance, which may be in float32."""


@dataclass
class FeatureMoments:
    """Mean and scatter matrix of features. They are gathered by batch, in constant memory.

    Attributes:
        count: N, number of samples.
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
            ValueError: If features are not a matrix with at least one row, or not all finite.
        """
        if features.ndim != 2 or len(features) == 0:
            raise ValueError(
                "features must have shape (samples, features) with at least one sample; got "
                f"{tuple(features.shape)}"
            )
        features = features.double()
        _require_finite(features)
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
    symmetric matrix $\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2}$. So the covariances need not have full
    rank: there may be fewer samples than features.

    Raises:
        ValueError: If the numbers of features differ, or one set has fewer than two samples.
    """
    return FrechetReference(first.mean, first.covariance).distance(second)


class FrechetReference:
    """Distances of many sets to one reference, whose matrix square root is computed once.

    Args:
        mean: mean of the reference, usually real data.
        covariance: covariance of the reference. Published statistics consist of these two.

    Raises:
        ValueError: If the mean is no vector of finite numbers, or the covariance is no symmetric
            matrix of its size without negative eigenvalues.
    """

    def __init__(
        self, mean: Float[Tensor, "feature"], covariance: Float[Tensor, "feature feature"]
    ) -> None:
        size = mean.numel()
        if mean.shape != (size,) or size == 0 or covariance.shape != (size, size):
            raise ValueError(
                "mean must have shape (F,) and covariance (F, F); got "
                f"{tuple(mean.shape)} and {tuple(covariance.shape)}"
            )
        for name, numbers in (("mean", mean), ("covariance", covariance)):
            if numbers.is_complex() or not bool(numbers.isfinite().all()):
                raise ValueError(f"{name} must hold finite real numbers")
        self.mean, self.covariance = mean.double(), covariance.double()
        scale = float(self.covariance.abs().max())
        if float((self.covariance - self.covariance.T).abs().max()) > _ROUNDING * scale:
            raise ValueError("covariance must be symmetric")
        shift = _ROUNDING * scale * size + torch.finfo(torch.float64).tiny
        # A Cholesky factor exists if all eigenvalues are above -shift. It is far cheaper than they.
        factor = torch.linalg.cholesky_ex(self.covariance + shift * torch.eye(size).double())
        if int(factor.info):
            least = float(torch.linalg.eigvalsh(self.covariance).min())
            raise ValueError(f"covariance must have no negative eigenvalue; got {least:g}")

    @property
    def sha256(self) -> str:
        """SHA-256 of mean and covariance, in float64 and with the lowest byte first."""
        arrays = (self.mean, self.covariance)
        content = b"".join(array.numpy().astype("<f8").tobytes() for array in arrays)
        return hashlib.sha256(content).hexdigest()

    @cached_property
    def _root(self) -> Tensor:
        """The matrix square root of the covariance."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return (vectors * values.clamp_min(0).sqrt()) @ vectors.T

    def distances(
        self, features: Float[Tensor, "sample feature"]
    ) -> Callable[[Int[Tensor, "row"]], float]:
        """The distance of any choice of these samples, as a function of their rows.

        With fewer samples than features it takes the short way of `_GramMatrices`.

        Raises:
            ValueError: If features have another size than the reference, or are not finite.
        """
        self._check(features.shape[-1])
        if len(features) < len(self.mean):
            return _GramMatrices(self, features)
        return lambda rows: self.distance(FeatureMoments.of(features[rows]))

    def distance(self, moments: FeatureMoments) -> float:
        self._check(len(moments.mean))
        covariance = moments.covariance
        product = self._root @ covariance @ self._root
        overlap = torch.linalg.eigvalsh((product + product.T) / 2).clamp_min(0).sqrt().sum()
        trace = self.covariance.trace() + covariance.trace()
        return float((self.mean - moments.mean).square().sum() + trace - 2 * overlap)

    def _check(self, size: int) -> None:
        if size != len(self.mean):
            raise ValueError(
                f"features must have the size of the reference's, {len(self.mean)}; got {size}: "
                "use the same extractor for both"
            )


class _GramMatrices:
    r"""Distances of choices of n samples with F > n features, from matrices of size n alone.

    Let the rows of Y be the centred features of a choice, so that $\Sigma_2 = Y^T Y / (n - 1)$. The
    nonzero eigenvalues of $\Sigma_1 \Sigma_2$ are those of $Y \Sigma_1 Y^T / (n - 1)$, a matrix
    of size n. It is a part of $X \Sigma_1 X^T$ for all samples, centred. So a choice costs n^3
    operations instead of F^3.

    Args:
        reference: the reference.
        features: features of all samples.
    """

    def __init__(self, reference: FrechetReference, features: Tensor) -> None:
        _require_finite(features)
        self.reference = reference
        self.features = features.double() - reference.mean
        self.plain = self.features @ self.features.T
        self.weighted = self.features @ reference.covariance @ self.features.T

    def __call__(self, rows: Int[Tensor, "row"]) -> float:
        if len(rows) < 2:
            raise ValueError(f"features need at least 2 samples for a covariance; got {len(rows)}")
        plain, weighted = (_centred(gram[rows][:, rows]) for gram in (self.plain, self.weighted))
        factor = 1 / (len(rows) - 1)
        overlap = torch.linalg.eigvalsh(weighted * factor).clamp_min(0).sqrt().sum()
        trace = self.reference.covariance.trace() + plain.trace() * factor
        return float(self.features[rows].mean(0).square().sum() + trace - 2 * overlap)


def _centred(gram: Tensor) -> Tensor:
    """The Gram matrix of vectors without their mean, symmetric."""
    gram = gram - gram.mean(0)
    gram = gram - gram.mean(1, keepdim=True)
    return (gram + gram.T) / 2


def _require_finite(features: Tensor) -> None:
    if not bool(features.isfinite().all()):
        raise ValueError("features hold NaN or infinity; check the samples that they come from")
