r"""Two coordinates: a product sampler with N steps misses the data law by order 1/N (Theorem 1).

Prints N, TV, N TV, the closed form (E1 masked, E2 uniform with a symmetric law, E3 absorbing),
two-sided bounds and the limit of N TV, and draws them. The exact engine computes TV; the other
columns come by another route. Takes a few seconds.

    python toys/two_dim_tv.py                                   uniform noise, theta = 0.5
    python toys/two_dim_tv.py --process masked --schedule cosine --p0 .4 .1 .2 .3
    python toys/two_dim_tv.py --process ctmc --rates .3 1 --theta 1 --horizon 2

The last one has zeros in the data law, where N TV grows like log N; --grid quadratic mends it.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from reporting import format_table, manifest, run_script, save_figure, script_parser, write_json
from toys.pictures.curves import draw_two_dim
from toys.teachers.curves import few_step_rows

OPTIONS = (
    *("process", "theta", "p0", "rate", "rates", "schedule", "horizon", "grid", "start", "steps"),
    *("quick", "seed"),
)
_LEAST_NOISE = 1e-12  # rate x horizon


@dataclass(frozen=True)
class Problem:
    """A process on two coordinates, a data law, and what is known of it in closed form.

    Attributes:
        process: forward process.
        q_0: data law, (V, V).
        start: "q_T" or "prior".
        pair: its closed forms, None where there are none.
        rates: 0 -> 1 and 1 -> 0 at time 0 of a two-state process, None for masked noise.
    """

    process: ForwardProcess
    q_0: Tensor
    start: str
    pair: Pair | None
    rates: tuple[float, float] | None

    def grid(self, name: str) -> Callable[[int], Tensor]:
        """From N to the grid of that name."""
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
        """The limit of N TV, or None, and where it comes from or why there is none."""
        if grid != "uniform":
            return None, "no formula for this grid"
        if self.pair is not None:
            limit = self.pair.limit()
            return limit, "closed form" if limit is not None else "N TV does not converge"
        if self.start == "prior" and not self._ends_in_prior():
            return None, "the prior is not q_T: TV does not vanish"
        try:
            return limit_n_tv(self.process, self.q_0), "general formula"
        except ValueError as error:
            return None, str(error)

    def log_coefficient(self, grid: str) -> float | None:
        """The coefficient of log N in N TV, None where there is no such term."""
        if grid != "uniform" or self.start != "q_T" or self.rates is None:
            return None
        return log_coefficient(self.q_0, *self.rates, self.process.horizon) or None

    def _ends_in_prior(self) -> bool:
        rows = self.process.transition(0.0, self.process.horizon)
        return bool((rows[: self.process.num_values] == self.process.prior()).all())


def main(argv: list[str] | None = None) -> None:
    """Print the table, write the record, draw the picture."""
    args = parse(argv)
    problem = make_problem(args)
    make_grid = problem.grid(args.grid)
    rows = few_step_rows(
        problem.process, problem.q_0.flatten(), args.steps, make_grid, args.start, args.process
    )
    for row in rows:
        row |= known_values(problem.pair, make_grid(row["steps"]))
    limit, reason = problem.limit(args.grid)
    coefficient = problem.log_coefficient(args.grid)

    print(describe(vars(args)))
    print(format_table(rows, COLUMNS))
    print(f"limit of N TV: {reason if limit is None else f'{limit:.6f} ({reason})'}")
    if coefficient:
        print(f"zeros in the data law: N TV grows like {coefficient:.6f} log N")
    result = {name: getattr(args, name) for name in OPTIONS} | {
        "rows": rows,
        "limit": limit,
        "limit_reason": reason,
        "log_coefficient": coefficient,
    }
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed)} | result)
        print(f"written to {args.json}")
    if args.figure:
        print("drawn to", *save_figure(draw_two_dim(result, describe(result)), args.figure))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options, checked and with every default filled in."""
    parser = script_parser(__doc__)
    law = parser.add_mutually_exclusive_group()
    law.add_argument(
        "--theta", type=float, help="symmetric pair (1 + theta s1 s2) / 4; 0.5, absorbing: 1"
    )
    law.add_argument(
        "--p0", type=float, nargs="+", metavar="P", help="P00 P01 P10 P11; masked: V x V, by rows"
    )
    parser.add_argument(
        "--process", choices=("masked", "uniform", "absorbing", "ctmc"), default="uniform"
    )
    parser.add_argument(
        "--rate", type=float, metavar="R", help="flip rate (uniform), rate 1 -> 0 or to the mask; 1"
    )
    parser.add_argument(
        "--rates", type=float, nargs=2, metavar=("A", "B"), help="ctmc: 0 -> 1, 1 -> 0; .5 1"
    )
    parser.add_argument(
        "--schedule",
        choices=("linear", "exponential", "cosine"),
        help="1 - t/T, exp(-R t) (uniform: exp(-2 R t)) or cos(pi t / 2T); default linear for "
        "masked without --rate, exponential else; a ctmc has constant rates",
    )
    parser.add_argument("--horizon", type=float, default=1.0, metavar="T", help="T")
    parser.add_argument("--grid", choices=("uniform", "quadratic", "optimal"), default="uniform")
    parser.add_argument("--start", choices=("q_T", "prior"), default="q_T", help="law at T")
    parser.add_argument(
        "--steps", type=int, nargs="+", metavar="N", help="numbers of steps; 1 2 4 ... 256"
    )
    args = parser.parse_args(argv)
    _check(args)
    _fill_in(args)
    return args


def _check(args: argparse.Namespace) -> None:
    """ValueError for a value that no process could use."""
    for name in ("rate", "horizon"):
        value = getattr(args, name)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite; got {value}")
    if args.theta is not None and not -1 <= args.theta <= 1:
        raise ValueError(f"theta must lie in [-1, 1], it is a correlation; got {args.theta}")
    if args.steps is not None and min(args.steps) < 1:
        raise ValueError(f"steps must be at least 1; got {min(args.steps)}")
    if args.rates is not None and args.process != "ctmc":
        raise ValueError(f"rates are those of a ctmc, and process is {args.process}; use --rate")
    if args.rate is not None and (
        args.process == "ctmc" or args.schedule not in (None, "exponential")
    ):
        noise = "a ctmc has --rates" if args.process == "ctmc" else f"{args.schedule} has none"
        raise ValueError(f"rate is {args.rate}, but {noise}; leave it out")
    if args.rate is not None and args.rate * args.horizon < _LEAST_NOISE:
        raise ValueError(
            f"rate x horizon must be at least {_LEAST_NOISE:g}, or float64 sees no noise at all; "
            f"got {args.rate * args.horizon:g}"
        )
    if args.process == "ctmc" and args.schedule not in (None, "exponential"):
        raise ValueError(
            f"schedule is {args.schedule}, but a ctmc has constant rates; leave it out"
        )


def _fill_in(args: argparse.Namespace) -> None:
    """The defaults that depend on other options."""
    if args.schedule is None:
        linear = args.process == "masked" and args.rate is None
        args.schedule = "linear" if linear else "exponential"
    if args.process == "ctmc":
        args.rate, args.rates = None, args.rates or [0.5, 1.0]
    else:
        args.rates = None
        args.rate = (args.rate or 1.0) if args.schedule == "exponential" else None
    if args.theta is None and args.p0 is None:
        args.theta = 1.0 if args.process == "absorbing" else 0.5
    if args.p0 is None:
        same, different = (1 + args.theta) / 4, (1 - args.theta) / 4
        args.p0 = [same, different, different, same]
    args.steps = args.steps or [2**k for k in range(4 if args.quick else 9)]


def make_problem(args: argparse.Namespace) -> Problem:
    """The process and the law that the options name, with their closed forms."""
    num_values = math.isqrt(len(args.p0))
    if num_values**2 != len(args.p0) or num_values < 2:
        raise ValueError(f"p0 must hold V x V numbers with V >= 2; got {len(args.p0)}")
    if num_values > 2 and args.process != "masked":
        raise ValueError(
            f"p0 has {num_values} values a coordinate, {args.process} noise has 2; give 4 numbers "
            "or take --process masked"
        )
    q_0 = as_probabilities("p0", args.p0).reshape(num_values, num_values)
    if args.process == "ctmc":
        up, down = args.rates
        process = two_state_process(up, down, args.horizon)
        return Problem(process, q_0, args.start, None, (up, down))
    schedule = _schedule(args)
    speed = -float(schedule.derivative(0.0))
    if args.process == "masked":
        pair = MaskedPair(schedule=schedule, start=args.start, p_0=q_0)
        return Problem(MaskedProcess(num_values, schedule), q_0, args.start, pair, None)
    if args.process == "uniform":
        process, rates = UniformProcess(2, schedule), (speed / 2, speed / 2)
    else:
        process, rates = absorbing_process(schedule), (0.0, speed)
    return Problem(process, q_0, args.start, _pair(args, schedule, q_0), rates)


def _schedule(args: argparse.Namespace) -> Schedule:
    if args.schedule == "exponential":
        factor = 2 if args.process == "uniform" else 1  # a flip in 2 events: half redraw the same
        return ExponentialSchedule(args.horizon, factor * args.rate)
    return (LinearSchedule if args.schedule == "linear" else CosineSchedule)(args.horizon)


def _pair(args: argparse.Namespace, schedule: Schedule, q_0: Tensor) -> Pair | None:
    """E2 or E3 where the law has the form that it needs."""
    (p00, p01), (p10, p11) = q_0.tolist()
    if args.process == "uniform" and math.isclose(p00, p11) and math.isclose(p01, p10):
        theta = min(1.0, max(-1.0, (p00 + p11) - (p01 + p10)))
        return UniformPair(schedule=schedule, start=args.start, theta=theta)
    if args.process == "absorbing" and p01 == p10 == 0 and 0 < p11 < 1:
        return AbsorbingPair(schedule=schedule, start=args.start, weight=p11)
    return None


def known_values(pair: Pair | None, grid: Tensor) -> dict[str, float | None]:
    """Closed form and bounds of TV on this grid, None where there are none."""
    if pair is None:
        return {"closed_form": None, "lower_bound": None, "upper_bound": None}
    return {
        "closed_form": pair.closed_form(grid),
        "lower_bound": pair.lower_bound(grid),
        "upper_bound": pair.upper_bound(grid),
    }


def describe(options: dict[str, Any]) -> str:
    """One line that says which problem this is."""
    law = (
        f"theta = {options['theta']:g}" if options["theta"] is not None else f"p0 = {options['p0']}"
    )
    if options["rates"]:
        noise = "rates {:g}, {:g}".format(*options["rates"])
    else:
        noise = f"{options['schedule']} schedule"
        noise += f", rate {options['rate']:g}" if options["rate"] else ""
    return (
        f"{options['process']}, {law}, {noise}, T = {options['horizon']:g}, "
        f"{options['grid']} grid, from {options['start']}"
    )


COLUMNS = {
    "steps": ("N", "d"),
    "tv": ("TV", ".9f"),
    "n_tv": ("N TV", ".6f"),
    "closed_form": ("closed form", ".9f"),
    "lower_bound": ("lower bound", ".9f"),
    "upper_bound": ("upper bound", ".9f"),
}


if __name__ == "__main__":
    run_script(main)
