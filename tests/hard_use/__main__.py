"""Use the project hard: damaged files, wrong calls, kills, extreme numbers, mutants of the code.

The status is 1 if something went wrong.

    python -m tests.hard_use files     mutants of every format that is read, and hostile pickles
    python -m tests.hard_use fuzz      changes of files that reach new code, ten minutes; needs the
                                       package atheris: pip install atheris
    python -m tests.hard_use calls     wrong command lines and wrong calls of the library
    python -m tests.hard_use kills     programs that are killed at random moments
    python -m tests.hard_use numerics  extreme numbers, 100,000 examples of each property
    python -m tests.hard_use orders    the whole suite 20 times, shuffled, with other hash seeds
    python -m tests.hard_use mutation --share 0.03
                                       small changes of the code, which the tests should find; needs
                                       the package cosmic-ray: pip install cosmic-ray
    python -m tests.hard_use files calls --json results/robustness.json
    python -m tests.hard_use kills numerics --share 0.2
    python -m tests.hard_use orders --share 0.2 --seed 7 --add --json results/robustness.json

--json keeps what the record says about the other parts. It is written whenever a program, a table
or a property is done, and says what was done: a run that is stopped leaves that much. With --add,
kills, numerics and orders of another seed are added to those of the record.
"""

import argparse
import time
from importlib import import_module
from typing import Any

from reporting import manifest, read_json, run_script, script_parser, write_json
from tests.hard_use import PARTS, RANDOM_PARTS


def main(argv: list[str] | None = None) -> int:
    """Run parts, print their figures, and add them to the record."""
    parser = script_parser(__doc__, figure=False, quick=False)
    parser.prog = "python -m tests.hard_use"
    parser.add_argument("parts", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--share",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share of the kills, examples, runs and mutants of the code, for a shorter run",
    )
    parser.add_argument(
        "--add",
        action="store_true",
        help=f"add to what --json has, with another --seed; only {', '.join(RANDOM_PARTS)}",
    )
    args = parser.parse_args(argv)
    if not 0 < args.share <= 1:
        raise ValueError(f"share must lie in (0, 1]; got {args.share}")
    record = read_json(args.json) if args.json and args.json.exists() else {}
    if args.add:
        _check_add(args, record)
    failures = []
    for name in dict.fromkeys(args.parts):
        start = time.perf_counter()
        result: dict[str, Any] = {}
        before = record.get(name, {}) if args.add else {}
        for figures in import_module(f"tests.hard_use.{name}").run(args.seed, args.share):
            result = figures | {"seconds": round(time.perf_counter() - start, 1)}
            if args.json:
                made = {"manifests": [manifest(args.seed)]}
                write_json(args.json, record | {name: together(before, result | made)})
        record = read_json(args.json) if args.json else record
        print(name, *(f"  {key}: {value}" for key, value in result.items()), sep="\n")
        failures += result["failures"]
    return 1 if failures else 0


def _check_add(args: argparse.Namespace, record: dict[str, Any]) -> None:
    """Refuse --add where it would count something twice.

    Raises:
        ValueError: If there is no record to add to, a part does not draw anything, or it was run
            with the same seed before.
    """
    if not args.json:
        raise ValueError("--add needs the record to add to: --json results/robustness.json")
    for name in args.parts:
        if name not in RANDOM_PARTS:
            raise ValueError(
                f"--add is for {', '.join(RANDOM_PARTS)}; {name} is the same each time"
            )
        if args.seed in (done["seed"] for done in record.get(name, {}).get("manifests", [])):
            raise ValueError(f"{name} of seed {args.seed} is in {args.json}; give another --seed")


def together(before: Any, now: Any) -> Any:
    """The figures of two runs as one: numbers are added, lists are joined, and so on inside."""
    if isinstance(now, dict):
        return before | {
            key: together(before.get(key, type(value)()), value) for key, value in now.items()
        }
    return before + now


if __name__ == "__main__":
    run_script(main)
