"""Run the scripts again and compare their numbers with the records in results/.

Everything is written to reproduced/, nothing to results/. Each number is compared at a stated
tolerance. The exit status is 1 unless every number is reproduced. Takes about five minutes on two
idle cores and ends in reproduced/report.html.

    python -m reporting.reproduce
"""

import shutil
import sys
import time
from pathlib import Path

from reporting.provenance import ROOT, manifest, shown
from reporting.records import write_json
from reporting.reproduce.numbers import Number, compare
from reporting.reproduce.page import duration, number, write_page
from reporting.reproduce.stages import STAGES, Outcome, Stage, run_stages
from reporting.scripts import run_script, script_parser

RESULTS = ROOT / "results"
_MARK = "reproduced.json"


def main(argv: list[str] | None = None) -> int:
    """Run all stages; the status is 1 unless every number is reproduced."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.prog = "python -m reporting.reproduce"
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write; one of an earlier run is replaced (reproduced/ of the clone)",
    )
    out = (parser.parse_args(argv).out or ROOT / "reproduced").absolute()
    empty_folder(out)
    started, clock = manifest(0), time.perf_counter()
    total = len(STAGES) + 1

    def begins(place: int, stage: Stage) -> None:
        print(f"{place} of {total}: {stage.title} (about {stage.seconds} s)", flush=True)

    def ends(outcome: Outcome) -> None:
        if outcome.error:
            log = f"{shown(out / 'logs' / outcome.stage.name)}.txt"
            print(f"  FAILED: {outcome.error}; see {log}", flush=True)

    outcomes = run_stages(STAGES, out, begins, ends)
    print(f"{total} of {total}: comparison and report (about 1 s)", flush=True)
    numbers, faults = compare(out, RESULTS)
    seconds = time.perf_counter() - clock
    _write(out, outcomes, numbers, started, seconds)
    for entry in numbers:
        print(line(entry))
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    count = sum(entry.reproduced for entry in numbers)
    failed = [outcome for outcome in outcomes if outcome.error]
    print(f"\n{count} of {len(numbers)} reproduced", end="")
    print(f" in {duration(seconds)}")
    if failed:
        print(f"{len(failed)} of {len(STAGES)} stages failed")
    print(f"report: {shown(out / 'report.html')}")
    return int(count < len(numbers) or bool(failed))


def empty_folder(out: Path) -> None:
    """Make the folder and mark it as ours; what an earlier run left there goes.

    Raises:
        ValueError: If it holds anything that is not of an earlier run.
    """
    if out.is_dir() and any(out.iterdir()):
        if not (out / _MARK).is_file():
            raise ValueError(f"--out is {out}, which holds other files; name a new folder")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / _MARK, {})


def _write(
    out: Path, outcomes: list[Outcome], numbers: list[Number], started: dict, seconds: float
) -> None:
    """The comparison as JSON and the report."""
    stages = [
        {"title": o.stage.title, "seconds": round(o.seconds, 1), "error": o.error} for o in outcomes
    ]
    entries = [
        {
            "group": entry.group,
            "name": entry.name,
            "recorded": entry.recorded,
            "found": entry.found,
            "tolerance": str(entry.tolerance),
            "reproduced": entry.reproduced,
        }
        for entry in numbers
    ]
    write_json(out / _MARK, {"manifest": started, "stages": stages, "numbers": entries})
    write_page(out / "report.html", out, RESULTS, outcomes, numbers, started, seconds)


def line(entry: Number) -> str:
    """One number: its name, both values, the tolerance and the verdict."""
    verdict = "ok" if entry.reproduced else "NOT REPRODUCED"
    return (
        f"{entry.group}; {entry.name}: recorded {number(entry.recorded)}, now "
        f"{number(entry.found)} ({entry.tolerance}) {verdict}"
    )


if __name__ == "__main__":
    run_script(main)
