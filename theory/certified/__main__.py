"""Certified bounds: N TV_N of two bits is at most a stated number, for all laws at once.

python -m theory.certified --check results/certificate.json   verify a certificate
python -m theory.certified --json results/certificate.json    find the bounds and write it
python -m theory.certified --check FILE --steps 4             verify the entries of N <= 4 only

Without options, verify results/certificate.json. An entry is a noise process and a number of steps.
It holds a law that attains the lower bound, an upper bound at most 1 % above it, and boxes that
cover all laws. On each box interval arithmetic proves the upper bound. A search that was stopped
goes on from the entries that the file has. `docs/certified.md` explains the method.
"""

import time
from pathlib import Path

from tqdm import tqdm

from reporting import format_table, manifest, run_script, script_parser, write_json
from reporting.files import is_stream
from reporting.scripts import at_least
from theory.certified.check import check
from theory.certified.family import RECORD, REMEDY, entries_of, family, title
from theory.certified.recurrence import Entry
from theory.certified.search import certify


def main(argv: list[str] | None = None) -> None:
    """Write a certificate or verify one."""
    parser = script_parser(__doc__, seed=False, figure=False, quick=False)
    parser.add_argument("--check", type=Path, metavar="FILE", help="verify this certificate")
    parser.add_argument(
        "--steps", type=at_least(1), metavar="N", help="leave out entries of more steps"
    )
    args = parser.parse_args(argv)
    if args.json and args.check:
        parser.error("--json cannot be combined with --check, which writes nothing; leave one out")
    if args.json:
        write(args.json, args.steps)
        print(f"written to {args.json}")
    else:
        verify(args.check or RECORD, args.steps)


def verify(path: Path, most_steps: int | None = None) -> None:
    """Check the entries of a certificate and print their bounds.

    Raises:
        ValueError: if it is damaged or proves less than it says; names the file and the entry.
        OSError: if it cannot be read.
    """
    entries = [e for e in entries_of(path) if most_steps is None or e["N"] <= most_steps]
    if not entries:
        raise ValueError(f"{path}: it has no entry to verify; {REMEDY}")
    started = time.perf_counter()
    boxes = sum(len(tree) * entry["N"] for entry in entries for tree in entry["trees"].values())
    with tqdm(total=boxes, unit="", disable=None, leave=False, dynamic_ncols=True) as bar:
        for entry in entries:
            bar.set_description(_name(entry))
            try:
                check(entry, lambda steps=entry["N"]: bar.update(steps))
            except ValueError as error:
                raise ValueError(f"{path}: {_name(entry)}: {error}; {REMEDY}") from None
    rows = [
        {"process": title(e), "N": e["N"], "lower": e["lower"], "upper": e["upper"]}
        for e in entries
    ]
    columns = {"process": ("process", ""), "N": ("N", "d")}
    columns |= {"lower": ("N TV_N attained", ""), "upper": ("bound for all laws", "")}
    print(format_table(rows, columns))
    print(f"{len(entries)} entries verified in {time.perf_counter() - started:.0f} seconds")


def write(path: Path, most_steps: int | None = None) -> None:
    """Find the bounds that the file does not have yet, and write it after each of them."""
    wanted = family()
    found = entries_of(path) if path.exists() and not is_stream(path) else []
    done = {_name(entry): entry for entry in found}
    left = [e for e in wanted if _name(e) not in done and e["N"] <= (most_steps or e["N"])]
    made_by = manifest()

    def save() -> None:
        entries = [done[_name(entry)] for entry in wanted if _name(entry) in done]
        write_json(path, {"manifest": made_by, "entries": entries})

    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    total = sum(e["N"] ** 2 for e in left)
    with tqdm(total=total, bar_format=layout, disable=None, leave=False, dynamic_ncols=True) as bar:
        for entry in left:
            bar.set_description(_name(entry))
            weight = entry["N"] ** 2
            done[_name(entry)] = certify(entry, lambda share, w=weight: bar.update(w * share))
            if not is_stream(path):
                save()
    save()


def _name(entry: Entry) -> str:
    return f"{title(entry)}, N = {entry['N']}"


if __name__ == "__main__":
    run_script(main)
