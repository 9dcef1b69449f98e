"""The error of an N-step product sampler on two coordinates is of order 1/N (Theorem 1).

Prints for each N, and draws:

    TV           total variation of the sampler's law to the data law, computed exactly; 0 is best
    N TV         this number converges if TV falls like 1/N
    closed form  TV by a formula, for the masked pair, for the uniform pair with a symmetric law,
                 and for the absorbing pair whose two bits always agree
    bounds       lower and upper bound of TV, where they are known
    limit        the limit of N TV, by a formula that does not use the exact engine

Expected without options: TV 0.241, 0.192 and 0.119 for N = 1, 2 and 4, and N TV 0.5011 for N = 256,
where the limit is 0.4999. Takes a few seconds; --quick stops at N = 8.

    python toys/two_dim_tv.py                                   uniform noise, theta = 0.5
    python toys/two_dim_tv.py --process masked --schedule cosine --p0 0.4 0.1 0.2 0.3
    python toys/two_dim_tv.py --process ctmc --rates 0.3 1 --theta 1 --horizon 2

In the last example the data law has zeros, and N TV grows like log N. With --grid quadratic it
converges.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from di4c.checks import check_time_scale
from reporting import (
    at_least,
    format_table,
    manifest,
    run_script,
    save_figure,
    script_parser,
    write_json,
)
from toys.pictures.curves import draw_two_dim
from toys.tasks.two_dim import make_two_dim
from toys.teachers.curves import few_step_rows

OPTIONS = (
    *("process", "theta", "p0", "rate", "rates", "schedule", "horizon", "grid", "start", "steps"),
    *("quick", "seed"),
)
_LEAST_NOISE = 1e-12  # rate x horizon


def main(argv: list[str] | None = None) -> None:
    """Print the table, write the record, draw the picture."""
    args = parse(argv)
    setting = make_two_dim(args)
    make_grid = setting.grid(args.grid)
    rows = few_step_rows(
        setting.process, setting.q_0.flatten(), args.steps, make_grid, args.start, args.process
    )
    for row in rows:
        row |= setting.known_values(make_grid(row["steps"]))
    limit, reason = setting.limit(args.grid)
    coefficient = setting.log_coefficient(args.grid)

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
    """The options, checked, with every default filled in."""
    parser = script_parser(__doc__)
    law = parser.add_mutually_exclusive_group()
    law.add_argument(
        "--theta",
        type=float,
        help="data law: two bits with P(s1, s2) = (1 + theta s1 s2) / 4, s = 1 or -1 "
        "(default: 0.5, absorbing: 1)",
    )
    law.add_argument(
        "--p0",
        type=float,
        nargs="+",
        metavar="P",
        help="data law: P00 P01 P10 P11; with masked noise also V x V numbers, row by row",
    )
    parser.add_argument(
        "--process",
        choices=("masked", "uniform", "absorbing", "ctmc"),
        default="uniform",
        help="noise; absorbing turns 1 into 0, ctmc has two constant rates",
    )
    parser.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="rate of the noise with an exponential schedule: of a flip (uniform), of 1 -> 0 "
        "(absorbing), of the mask (masked) (default: 1)",
    )
    parser.add_argument(
        "--rates",
        type=float,
        nargs=2,
        metavar=("A", "B"),
        help="rates 0 -> 1 and 1 -> 0 of a ctmc (default: 0.5 1)",
    )
    parser.add_argument(
        "--schedule",
        choices=("linear", "exponential", "cosine"),
        help="probability that no noise has come by time t: 1 - t/T, exp(-R t) (uniform: "
        "exp(-2 R t)) or cos(pi t / 2T) (default: linear for masked without --rate, otherwise "
        "exponential; a ctmc takes none)",
    )
    parser.add_argument("--horizon", type=float, default=1.0, metavar="T", help="last time T")
    parser.add_argument(
        "--grid",
        choices=("uniform", "quadratic", "optimal"),
        default="uniform",
        help="times of the steps: equispaced, dense near 0, or of least TV",
    )
    parser.add_argument(
        "--start",
        choices=("q_T", "prior"),
        default="q_T",
        help="law to start from at time T: that of the noised data, or the prior of the noise",
    )
    parser.add_argument(
        "--steps",
        type=at_least(1),
        nargs="+",
        metavar="N",
        help="numbers of steps (default: 1 2 4 ... 256)",
    )
    args = parser.parse_args(argv)
    _check(args)
    _fill_in(args)
    return args


def _check(args: argparse.Namespace) -> None:
    """ValueError for a value that no process can use."""
    for name in ("rate", "horizon"):
        value = getattr(args, name)
        if value is not None:
            check_time_scale(name, value)
    if args.theta is not None and not -1 <= args.theta <= 1:
        raise ValueError(f"theta is a correlation and must lie in [-1, 1]; got {args.theta}")
    if args.rates is not None and args.process != "ctmc":
        raise ValueError(f"rates belong to a ctmc, but process is {args.process}; use --rate")
    if args.rate is not None and (
        args.process == "ctmc" or args.schedule not in (None, "exponential")
    ):
        noise = (
            "a ctmc takes --rates instead"
            if args.process == "ctmc"
            else f"a {args.schedule} schedule has no rate; leave it out"
        )
        raise ValueError(f"rate is {args.rate}, but {noise}")
    if args.rate is not None and args.rate * args.horizon < _LEAST_NOISE:
        raise ValueError(
            f"rate x horizon must be at least {_LEAST_NOISE:g}, or float64 cannot tell the noise "
            f"from none; got {args.rate * args.horizon:g}"
        )
    if args.process == "ctmc" and args.schedule not in (None, "exponential"):
        raise ValueError(
            f"schedule is {args.schedule}, but a ctmc has constant rates; leave it out"
        )


def _fill_in(args: argparse.Namespace) -> None:
    """Fill in the defaults that depend on other options."""
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


def describe(options: dict[str, Any]) -> str:
    """One line that names law, noise, grid and start."""
    law = (
        f"theta = {options['theta']:g}" if options["theta"] is not None else f"p0 = {options['p0']}"
    )
    if options["rates"]:
        noise = "rates {:g}, {:g}".format(*options["rates"])
    else:
        noise = f"{options['schedule']} schedule"
        noise += f", rate {options['rate']:g}" if options["rate"] else ""
    return (
        f"{options['process']} noise, {law}, {noise}, T = {options['horizon']:g}, "
        f"{options['grid']} grid, start from {options['start']}"
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
