"""Check every claim and print one line for each; exit status 1 if any fails.

python -m theory                     all claims, written to results/theory.json
python -m theory --only theorem2     the claims whose name contains the word
python -m theory --list              names and statements, nothing is run
"""

import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from reporting import format_table, manifest, run_script, script_parser, write_json
from theory.claim import all_claims

RESULTS = Path(__file__).parent.parent / "results" / "theory.json"


def main(argv: list[str] | None = None) -> None:
    """Run the claims."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.add_argument("--only", metavar="WORD", help="claims whose name contains WORD")
    parser.add_argument("--list", action="store_true", help="list the claims and stop")
    parser.add_argument("--json", metavar="FILE", type=Path, help=f"default {RESULTS.name}")
    args = parser.parse_args(argv)
    claims = [c for c in all_claims() if not args.only or args.only in c.name]
    if not claims:
        names = ", ".join(c.name for c in all_claims())
        raise ValueError(f"--only {args.only} matches no claim; there are: {names}")
    if args.list:
        for claim in claims:
            print(f"{claim.name}: {claim.statement} [{claim.source}]")
        return
    torch.set_num_threads(1)  # tiny tensors: more threads only get in each other's way
    rows = []
    bar = tqdm(claims, unit="claim", disable=None)
    for claim in bar:
        bar.set_description(claim.name)
        started = time.perf_counter()
        record = claim.run()
        rows.append(
            {
                "name": claim.name,
                "statement": claim.statement,
                "source": claim.source,
                "hypotheses": claim.hypotheses,
                "negative_control": claim.control,
                "cases": record.cases,
                "worst_deviation": record.worst_deviation,
                "least_slack": record.least_slack,
                "verdict": _verdict(record.holds, claim.control),
                "holds": record.holds,
                "failures": record.failures[:10],
                "seconds": round(time.perf_counter() - started, 3),
            }
        )
    print(format_table(rows, _COLUMNS))
    failed = [row for row in rows if not row["holds"]]
    controls = sum(row["negative_control"] for row in rows)
    cases = sum(row["cases"] for row in rows)
    print(
        f"\n{len(rows) - len(failed)} of {len(rows)} claims hold ({controls} are negative controls:"
        f" the naive statement fails where it must), {cases} comparisons"
    )
    for row in failed:
        print(f"FAILED {row['name']}: {'; '.join(row['failures'][:3]) or 'no comparison was made'}")
    path = args.json or (None if args.only else RESULTS)
    if path:
        write_json(path, {"manifest": manifest(), "claims": rows})
        print(f"written to {path}")
    if failed:
        sys.exit(1)


def _verdict(holds: bool, control: bool) -> str:
    if not holds:
        return "FAILED"
    return "fails as it must" if control else "holds"


_COLUMNS = {
    "name": ("claim", "s"),
    "statement": ("what", "s"),
    "hypotheses": ("hypotheses", "s"),
    "cases": ("cases", "d"),
    "worst_deviation": ("worst |l - r|", ".1e"),
    "least_slack": ("least slack", ".2e"),
    "verdict": ("verdict", "s"),
}


if __name__ == "__main__":
    run_script(main)
