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

--json keeps what the record says about the other parts. It is written whenever a program, a table
or a property is done, and says what was done: a run that is stopped leaves that much.
"""

import time
from importlib import import_module
from typing import Any

from reporting import manifest, read_json, run_script, script_parser, write_json
from tests.hard_use import PARTS


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
    args = parser.parse_args(argv)
    if not 0 < args.share <= 1:
        raise ValueError(f"share must lie in (0, 1]; got {args.share}")
    failures = []
    for name in dict.fromkeys(args.parts):
        start = time.perf_counter()
        result: dict[str, Any] = {}
        for figures in import_module(f"tests.hard_use.{name}").run(args.seed, args.share):
            result = figures | {"seconds": round(time.perf_counter() - start, 1)}
            if args.json:
                record = read_json(args.json) if args.json.exists() else {}
                write_json(args.json, record | {name: result | {"manifest": manifest(args.seed)}})
        print(name, *(f"  {key}: {value}" for key, value in result.items()), sep="\n")
        failures += result["failures"]
    return 1 if failures else 0


if __name__ == "__main__":
    run_script(main)
