r"""The latent $\lambda$: its law, and when a sampler draws a new one.

A law maps independent uniforms to latents, coordinate by coordinate, by quantile functions.
Stratified uniforms therefore give stratified latents for every law.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_choice, check_count, require_tensor, require_type, shown
from di4c.probabilities import as_probabilities
from di4c.rng import Generator, SampleGenerators, stratified_uniform, uniform


@runtime_checkable  # beartype checks arguments against it in tests
class LatentLaw(Protocol):
    """The law of a latent, given by its quantile functions."""

    @property
    def uniform_shape(self) -> tuple[int, ...]:
        """Shape of the uniforms that one latent is made from."""
        ...

    def quantile(self, uniforms: Float[Tensor, "*batch"]) -> Tensor:
        """Latents (..., *latent_shape) from uniforms (..., *uniform_shape) on [0, 1)."""
        ...


@dataclass(frozen=True)
class UniformLatent:
    r"""$\lambda \sim \mathrm{Unif}[0, 1)$, the latent of the paper.

    Attributes:
        shape: shape of one latent; () is a scalar.
        dtype: dtype that the network expects.

    Raises:
        TypeError: If the shape is no tuple, or the dtype no type of floats.
        ValueError: If the shape holds something else than whole numbers.
    """

    shape: tuple[int, ...] = ()
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        _check_floats(self.shape, self.dtype)

    @property
    def uniform_shape(self) -> tuple[int, ...]:
        return self.shape

    def quantile(self, uniforms: Float[Tensor, "*batch"]) -> Tensor:
        # Rounding to a narrower dtype must not give 1.
        return uniforms.to(self.dtype).clamp_max(1 - torch.finfo(self.dtype).eps / 2)


@dataclass(frozen=True)
class GaussianLatent:
    r"""$\lambda \sim N(0, I)$.

    Attributes:
        shape: shape of one latent.
        dtype: dtype that the network expects.

    Raises:
        TypeError: If the shape is no tuple, or the dtype no type of floats.
        ValueError: If the shape holds something else than whole numbers.
    """

    shape: tuple[int, ...] = (8,)
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        _check_floats(self.shape, self.dtype)

    @property
    def uniform_shape(self) -> tuple[int, ...]:
        return self.shape

    def quantile(self, uniforms: Float[Tensor, "*batch"]) -> Tensor:
        tiny = torch.finfo(torch.float64).tiny  # at 0 the quantile would be -inf
        return torch.special.ndtri(uniforms.double().clamp_min(tiny)).to(self.dtype)


def _check_floats(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raise an error unless this is the shape and the dtype of a latent of floats."""
    require_type("shape", shape, tuple, "a tuple of sizes, such as (8,)")
    for size in shape:
        check_count("shape", size)
    if not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise TypeError(f"dtype must be a type of floats, such as torch.float32; got {dtype}")


@dataclass(frozen=True)
class FiniteLatent:
    """A latent with finitely many values, e.g. the support of a mixture that is known exactly.

    Attributes:
        support: the values, (L, ...).
        weights: their probabilities, (L,); uniform if None.

    Raises:
        ValueError: If there is no value, or the weights have another shape or do not sum to 1.
    """

    support: Tensor
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        require_tensor("support", self.support)
        if self.support.ndim == 0 or len(self.support) == 0:
            raise ValueError(
                f"support must hold at least one latent on its first axis; got shape "
                f"{tuple(self.support.shape)}"
            )
        if self.weights is not None:
            require_tensor("weights", self.weights)
            if self.weights.shape != self.support.shape[:1]:
                raise ValueError(
                    f"weights must hold one entry for each latent; got "
                    f"{tuple(self.weights.shape)} for {len(self.support)} latents"
                )
            as_probabilities("weights", self.weights)

    @property
    def uniform_shape(self) -> tuple[int, ...]:
        return ()

    def quantile(self, uniforms: Float[Tensor, "*batch"]) -> Tensor:
        count, device = len(self.support), uniforms.device
        if self.weights is None:
            index = (uniforms * count).long()
        else:
            cdf = self.weights.to(device, torch.float64).cumsum(0)
            index = torch.searchsorted(cdf, uniforms.double() * cdf[-1], right=True)
        return self.support.to(device)[index.clamp_max(count - 1)]


def draw_latents(
    law: LatentLaw,
    num_latents: int,
    *,
    stratified: bool = False,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw latents, independent or stratified.

    Stratified latents are made from stratified uniforms: each of num_latents equal cells holds one
    of them. If a latent is made from several uniforms, this is a Latin hypercube. Each latent by
    itself keeps its law.

    Args:
        law: law of one latent.
        num_latents: how many.
        stratified: whether to stratify them.
        generator: source of randomness.
        device: device of the latents.

    Returns:
        (num_latents, ...).

    Raises:
        ValueError: If num_latents is negative, or stratified is combined with SampleGenerators.
    """
    check_count("num_latents", num_latents, 0)
    if stratified and isinstance(generator, SampleGenerators):
        raise ValueError(
            "stratified=True ties the samples of a batch to each other, but SampleGenerators keep "
            "them independent: use one torch.Generator, or stratified=False"
        )
    if not stratified:
        shape = (num_latents, *law.uniform_shape)
        return law.quantile(uniform(shape, generator=generator, device=device))
    options = {"stratified": True, "generator": generator, "device": device}
    return latent_batches(law, (1, num_latents), **options)[0]


def latent_batches(
    law: LatentLaw,
    shape: tuple[int, int],
    *,
    stratified: bool = False,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw L latents for each of B examples, independent or stratified within each example.

    Args:
        law: law of one latent.
        shape: (B, L).
        stratified: whether to stratify the latents of an example.
        generator: source of randomness.
        device: device of the latents.

    Returns:
        (B, L, ...).

    Raises:
        ValueError: If a size is no whole number, or negative.
    """
    batch, count = shape
    for size in shape:
        check_count("shape", size, 0)
    if not stratified:
        draws = uniform((batch, count, *law.uniform_shape), generator=generator, device=device)
        return law.quantile(draws)
    draws = stratified_uniform(
        (batch, *law.uniform_shape, count), generator=generator, device=device
    )
    return law.quantile(draws.movedim(-1, 1))


Redraw = Literal["per_step", "fixed"]
"""Whether a sampler draws a new latent for each call, or keeps the first one for all calls."""


@dataclass(frozen=True)
class LatentPolicy:
    """When a sampler draws the latents of a batch, and from which law.

    Attributes:
        redraw: "per_step" draws a new latent for each sample at every network call, as in the
            paper. "fixed" keeps the latent of the first call for the whole trajectory.
        stratified: whether the latents of a batch are stratified at every draw.
        law: law of one latent.

    Raises:
        TypeError: If law is no law of latents.
        ValueError: If redraw is unknown.
    """

    redraw: str = "per_step"
    stratified: bool = False
    law: LatentLaw = field(default_factory=UniformLatent)

    def __post_init__(self) -> None:
        check_choice("redraw", self.redraw, get_args(Redraw))
        require_type("law", self.law, LatentLaw, "a law of the latents, such as UniformLatent()")

    def draws(
        self, batch: int, generator: Generator | None, device: torch.device | str | None
    ) -> Iterator[Tensor]:
        """Endless iterator over the latents (batch, ...) of the network calls."""
        latents = None
        while True:
            if latents is None or self.redraw == "per_step":
                latents = draw_latents(
                    self.law, batch, stratified=self.stratified, generator=generator, device=device
                )
            yield latents


Latent = LatentPolicy | Sequence[Tensor] | Tensor | None
"""What a sampler accepts: a policy, latents (one entry for each network call), or no latent."""


def latent_draws(
    latent: Latent, batch: int, generator: Generator | None, device: torch.device | str | None
) -> Iterator[Tensor | None]:
    """Iterator over the latents of the network calls. Each is drawn when it is needed.

    Raises:
        TypeError: If latent is none of what a sampler accepts.
    """
    if latent is None:
        return repeat(None)
    if isinstance(latent, LatentPolicy):
        return latent.draws(batch, generator, device)
    if isinstance(latent, str) or not isinstance(latent, Sequence | Tensor):
        raise TypeError(
            f"latent must be a LatentPolicy, the latents of each call, or None; got "
            f"{shown(latent)}: use LatentPolicy(redraw=..., law=...)"
        )
    return iter(latent)


def uniform_log_weights(
    num_latents: int, device: torch.device | str | None = None
) -> Float[Tensor, "latent"]:
    """Log-weights log(1/L) of L sampled latents, (L,), float64.

    Raises:
        ValueError: If there is no latent.
    """
    check_count("num_latents", num_latents, remedy="draw some latents")
    return torch.zeros(num_latents, dtype=torch.float64, device=device).log_softmax(0)
