"""Check every claim and print one line for each; exit status 1 if any fails.

python -m theory                     all claims, written to results/theory.json or to --json FILE
python -m theory --only theorem2     those whose name or file contains the word; written only to
                                     --json FILE
python -m theory --list              names, files and statements; nothing is run or written
"""

import difflib
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from reporting import format_table, manifest, run_script, script_parser, write_json
from theory.claim import NAIVE, Claim, all_claims

RESULTS = Path(__file__).parent.parent / "results" / "theory.json"


def main(argv: list[str] | None = None) -> None:
    """Run the claims."""
    parser = script_parser(__doc__, seed=False, figure=False, quick=False)
    parser.add_argument("--only", metavar="WORD", help="claims whose name or file contains WORD")
    parser.add_argument("--list", action="store_true", help="list the claims and stop")
    args = parser.parse_args(argv)
    if args.list and args.json:
        parser.error("--list writes nothing; leave out --json")
    claims = all_claims()
    if args.only:
        claims = _selected(args.only, claims)
    if args.list:
        for claim in claims:
            print(f"{claim.name} ({claim.module}.py): {_told(claim)} [{claim.source}]")
        return
    torch.set_num_threads(1)  # tiny tensors: more threads only get in each other's way
    rows = []
    bar = tqdm(claims, unit="claim", disable=None)
    for claim in bar:
        bar.set_description(claim.name)
        rows.append(_row(claim))
    print(format_table(rows, _COLUMNS))
    failed = [row for row in rows if not row["holds"]]
    controls = sum(row["negative_control"] for row in rows)
    cases = sum(row["cases"] for row in rows)
    print(
        f"\n{len(rows) - len(failed)} of {len(rows)} claims hold ({controls} are negative controls:"
        f" the naive statement fails where it must), {cases} comparisons"
    )
    for row in failed:
        reasons = "; ".join(row["failures"][:3]) or "no comparison was made"
        print(f"FAILED {row['name']} ({row['module']}.py): {reasons}")
    path = args.json or (None if args.only else RESULTS)
    if path:
        write_json(path, {"manifest": manifest(), "claims": rows})
        print(f"written to {path}")
    if failed:
        sys.exit(1)


def _selected(word: str, claims: list[Claim]) -> list[Claim]:
    """The claims whose name or file contains the word; it may also be the path of a file."""
    plain = _plain(Path(word).stem)
    chosen = [c for c in claims if plain in _plain(c.module) or plain in _plain(c.name)]
    if not chosen:
        names = {_plain(name): name for c in claims for name in (c.name, c.module)}
        closest = [names[close] for close in difflib.get_close_matches(plain, names)]
        hint = f"; the closest: {', '.join(closest)}" if closest else ""
        raise ValueError(f"--only {word} matches no claim and no file{hint}; --list shows all")
    return chosen


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _told(claim: Claim) -> str:
    """The statement, so that nobody takes the one of a control for true."""
    if claim.control:
        return f"fails, as it must: {claim.statement.removeprefix(NAIVE)}"
    return claim.statement


def _row(claim: Claim) -> dict[str, Any]:
    """Run one claim."""
    started = time.perf_counter()
    record = claim.run()
    return {
        "name": claim.name,
        "module": claim.module,
        "group": claim.group,
        "statement": claim.statement,
        "source": claim.source,
        "hypotheses": claim.hypotheses,
        "negative_control": claim.control,
        "cases": record.cases,
        "worst_deviation": _finite(record.worst_deviation),
        "least_slack": _finite(record.least_slack),
        "verdict": _verdict(record.holds, claim.control),
        "holds": record.holds,
        "failures": record.failures[:10],
        "seconds": round(time.perf_counter() - started, 3),
    }


def _finite(number: float | None) -> float | None:
    """JSON has no infinity; the line of the failure, if it is one, says more."""
    return number if number is not None and math.isfinite(number) else None


def _verdict(holds: bool, control: bool) -> str:
    if not holds:
        return "FAILED"
    return "fails as it must" if control else "holds"


_COLUMNS = {
    "name": ("claim", "s"),
    "module": ("file", "s"),
    "cases": ("cases", "d"),
    "worst_deviation": ("worst", ".0e"),
    "least_slack": ("slack", ".0e"),
    "verdict": ("verdict", "s"),
    "statement": ("what", "s"),
    "hypotheses": ("where the hypotheses bind", "s"),
}
"""The long texts come last: a narrow terminal wraps them, not the numbers."""


if __name__ == "__main__":
    run_script(main)
