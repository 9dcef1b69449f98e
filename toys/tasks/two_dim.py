"""Processes on two coordinates, with everything that is known about N-step sampling in closed form.

The closed forms are those of the masked pair, of the uniform pair with a symmetric law, and of the
absorbing pair whose two bits always agree (`di4c.exact.pairs`).
"""

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from di4c.exact.limits import limit_n_tv
from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair, log_coefficient
from di4c.probabilities import as_probabilities
from di4c.processes import (
    ForwardProcess,
    MaskedProcess,
    UniformProcess,
    absorbing_process,
    two_state_process,
)
from di4c.schedules import (
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    Schedule,
    quadratic_grid,
    uniform_grid,
)


@dataclass(frozen=True)
class TwoDimSetting:
    """A process on two coordinates, a data law, and its closed forms.

    Attributes:
        process: forward process.
        q_0: data law, (V, V).
        start: law at the horizon, "q_T" or "prior".
        pair: the closed forms, None if there are none.
        rates: rates 0 -> 1 and 1 -> 0 at time 0 of a two-state process, None for masked noise.
    """

    process: ForwardProcess
    q_0: Tensor
    start: str
    pair: Pair | None
    rates: tuple[float, float] | None

    def grid(self, name: str) -> Callable[[int], Tensor]:
        """The function from N to the grid of that name.

        Raises:
            ValueError: If the optimal grid is asked for and not known.
        """
        horizon = self.process.horizon
        if name == "optimal":
            if self.pair is None:
                raise ValueError(
                    "grid is optimal, which is known only for masked noise, uniform noise with a "
                    "symmetric law and absorbing noise with p0 = 1-a 0 0 a; take uniform or "
                    "quadratic"
                )
            return self.pair.best_grid
        make = uniform_grid if name == "uniform" else quadratic_grid
        return lambda num_steps: make(num_steps, horizon)

    def limit(self, grid: str) -> tuple[float | None, str]:
        """The limit of N TV and its source, or None and the reason why there is none."""
        if grid != "uniform":
            return None, "no formula for this grid"
        if self.pair is not None:
            limit = self.pair.limit()
            return limit, "closed form" if limit is not None else "N TV does not converge"
        if self.start == "prior" and not self._ends_in_prior():
            return None, "the prior is not q_T, so TV does not vanish"
        try:
            return limit_n_tv(self.process, self.q_0), "general formula"
        except ValueError as error:
            return None, str(error)

    def log_coefficient(self, grid: str) -> float | None:
        """The coefficient of log N in N TV, None if there is no such term."""
        if grid != "uniform" or self.start != "q_T" or self.rates is None:
            return None
        return log_coefficient(self.q_0, *self.rates, self.process.horizon) or None

    def known_values(self, grid: Tensor) -> dict[str, float | None]:
        """Closed form and bounds of TV on this grid, None where there are none."""
        if self.pair is None:
            return {"closed_form": None, "lower_bound": None, "upper_bound": None}
        return {
            "closed_form": self.pair.closed_form(grid),
            "lower_bound": self.pair.lower_bound(grid),
            "upper_bound": self.pair.upper_bound(grid),
        }

    def _ends_in_prior(self) -> bool:
        rows = self.process.transition(0.0, self.process.horizon)
        return bool((rows[: self.process.num_values] == self.process.prior()).all())


def make_two_dim(args: argparse.Namespace) -> TwoDimSetting:
    """The process and the law that the options of `toys/two_dim_tv.py` name.

    Args:
        args: process, p0, rates (of a ctmc), rate, schedule, horizon and start, all filled in.

    Raises:
        ValueError: If p0 is not a law, or has more values than the noise.
    """
    num_values = math.isqrt(len(args.p0))
    if num_values**2 != len(args.p0) or num_values < 2:
        raise ValueError(f"p0 must hold V x V numbers with V >= 2; got {len(args.p0)}")
    if num_values > 2 and args.process != "masked":
        raise ValueError(
            f"p0 has {num_values} values per coordinate, {args.process} noise has 2; give 4 "
            "numbers or take --process masked"
        )
    q_0 = as_probabilities("p0", args.p0).reshape(num_values, num_values)
    if args.process == "ctmc":
        up, down = args.rates
        process = two_state_process(up, down, args.horizon)
        return TwoDimSetting(process, q_0, args.start, None, (up, down))
    schedule = _schedule(args)
    speed = -float(schedule.derivative(0.0))
    if args.process == "masked":
        pair = MaskedPair(schedule=schedule, start=args.start, p_0=q_0)
        return TwoDimSetting(MaskedProcess(num_values, schedule), q_0, args.start, pair, None)
    if args.process == "uniform":
        process, rates = UniformProcess(2, schedule), (speed / 2, speed / 2)
    else:
        process, rates = absorbing_process(schedule), (0.0, speed)
    return TwoDimSetting(process, q_0, args.start, _pair(args, schedule, q_0), rates)


def _schedule(args: argparse.Namespace) -> Schedule:
    if args.schedule == "exponential":
        # A uniform event redraws the bit, and half of the draws leave it as it is.
        factor = 2 if args.process == "uniform" else 1
        return ExponentialSchedule(args.horizon, factor * args.rate)
    return (LinearSchedule if args.schedule == "linear" else CosineSchedule)(args.horizon)


def _pair(args: argparse.Namespace, schedule: Schedule, q_0: Tensor) -> Pair | None:
    """The uniform or the absorbing pair, if the law has the form that its closed form needs."""
    (p00, p01), (p10, p11) = q_0.tolist()
    if args.process == "uniform" and math.isclose(p00, p11) and math.isclose(p01, p10):
        theta = min(1.0, max(-1.0, (p00 + p11) - (p01 + p10)))
        return UniformPair(schedule=schedule, start=args.start, theta=theta)
    if args.process == "absorbing" and p01 == p10 == 0 and 0 < p11 < 1:
        return AbsorbingPair(schedule=schedule, start=args.start, weight=p11)
    return None
