r"""How a recipe draws the time t of an example and the earlier time u.

Time runs from 0 (data) to the horizon 1 (noise); MaskGIT's r is 1 - t. Source: Hayakawa et al.,
ICML 2025, experiments and code; `FixedRatio` is ours.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.checks import check_number
from di4c.rng import Generator, uniform

Device = torch.device | str | None


@dataclass(frozen=True)
class LogUniformGap:
    r"""Times with a log-uniform gap: $t - u = e^{\mathrm{U}(\log a, \log b)}$.

    Given the gap, t is uniform on [first + gap, 1].

    Attributes:
        first: smallest possible time u.
        shortest: a, the shortest possible gap.
        longest: b, the longest possible gap.

    Raises:
        ValueError: If first lies outside [0, 1), or not 0 < shortest <= longest <= 1 - first.
    """

    first: float = 0.01
    shortest: float = 0.001
    longest: float = 0.01

    def __post_init__(self) -> None:
        check_number("first", self.first, "[0, 1)")
        check_number("longest", self.longest, f"(0, {1 - self.first}]", "t ends at 1")
        check_number("shortest", self.shortest, f"(0, {self.longest}]", "it is the shortest gap")

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        draws = uniform((batch, 2), generator=generator, device=device).T
        gap = self.shortest * (self.longest / self.shortest) ** draws[0]
        t = self.first + gap + (1 - self.first - gap) * draws[1]
        return t, t - gap


@dataclass(frozen=True)
class FixedGap:
    r"""Times with a fixed gap: $t \sim \mathrm{U}(\text{first}, 1)$, $u = \max(t - \text{gap}, 0)$.

    Attributes:
        gap: difference of t and u.
        first: smallest time t; 0 in the published recipes.

    Raises:
        ValueError: If the gap lies outside (0, 1], or first outside [0, 1).
    """

    gap: float = 0.05
    first: float = 0.0

    def __post_init__(self) -> None:
        check_number("gap", self.gap, "(0, 1]")
        check_number("first", self.first, "[0, 1)")

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        draws = uniform((batch,), generator=generator, device=device)
        t = 1 - (1 - self.first) * draws  # in (first, 1]
        return t, (t - self.gap).clamp_min(0)


@dataclass(frozen=True)
class FixedRatio:
    r"""Times with a fixed ratio: $t \sim \mathrm{U}(0, 1)$ and $u = \rho t$, a long jump.

    Attributes:
        ratio: rho, at least 0 and below 1.

    Raises:
        ValueError: If the ratio lies outside [0, 1).
    """

    ratio: float = 0.05

    def __post_init__(self) -> None:
        check_number("ratio", self.ratio, "[0, 1)", "u = ratio * t")

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        t = 1 - uniform((batch,), generator=generator, device=device)  # in (0, 1]
        return t, self.ratio * t


@dataclass(frozen=True)
class SmallTimesOften:
    r"""Times that are often small, with $t - u = \min(g, t/2)$.

    With probability `share` t is uniform on (0, split), otherwise on (split, 1).

    The published code differs in one respect: it masks $x_0$ at the next multiple of 1/1024 above
    t, not at t itself. At t = 1e-4 it masks one of 1024 tokens on average, we mask a tenth of one.

    Attributes:
        split: times below it train the distillation loss.
        share: probability of a time below the split.
        gap: g, the length of a teacher step.

    Raises:
        ValueError: If the split or the gap lies outside (0, 1], or the share outside [0, 1].
    """

    split: float = 0.02
    share: float = 0.3
    gap: float = 1 / 1024

    def __post_init__(self) -> None:
        check_number("split", self.split, "(0, 1]")
        check_number("share", self.share, "[0, 1]")
        check_number("gap", self.gap, "(0, 1]")

    def draw(
        self, batch: int, generator: Generator | None, device: Device = None
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
        """Draw times (t, u), each (B,), in float64."""
        which, place = uniform((batch, 2), generator=generator, device=device).T
        place = 1 - place  # in (0, 1]: t = 0 has no step before it
        below = which < self.share
        t = torch.where(below, self.split * place, self.split + (1 - self.split) * place)
        return t, t - (t / 2).clamp_max(self.gap)


Times = LogUniformGap | FixedGap | FixedRatio | SmallTimesOften
"""How a recipe draws times."""
