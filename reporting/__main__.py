"""Sum up the records in results/: claims that hold, TV after N steps for each law, the files.

A table of TV against N is a dictionary with "rows" of {"steps", "tv"}, anywhere in a record. It may
have a "limit" of N TV. The keys "law", "process", "sampler" and "components" around it name it.
"""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reporting.provenance import ROOT, shown
from reporting.records import read_json
from reporting.scripts import run_script, script_parser
from reporting.tables import format_table

STEPS = (1, 2, 4, 8, 16)
NAMES = ("law", "process", "sampler", "components")


def main(argv: list[str] | None = None) -> int:
    """Print the summary; the status is 2 if a file is not a record."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.prog = "python -m reporting"
    parser.add_argument(
        "--results", type=Path, metavar="DIR", help="folder of the records (results/ of the clone)"
    )
    folder = parser.parse_args(argv).results or ROOT / "results"
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"results is {folder}, which holds no JSON file; name a folder of records")
    curves, results, faults = [], [], []
    for path in paths:
        try:
            content = read_json(path)
            if "claims" in content:
                print(claims_line(content["claims"]), end="\n\n")
        except (OSError, ValueError) as error:
            faults.append(str(error))
        except (AttributeError, LookupError, TypeError) as error:
            if sys.flags.dev_mode:
                raise
            faults.append(f"{path} holds no claims as theory writes them ({error!r})")
        else:
            results.append(path)
            curves += [{"file": path.stem} | row for row in curve_rows(content, {})]
    if curves:
        print("total variation after N steps, and the limit of N TV where one is known")
        steps = {f"tv {n}": (f"N = {n}", ".4f") for n in STEPS}
        columns = {"file": ("result", ""), "name": ("what", ""), **steps, "limit": ("limit", ".4f")}
        print(format_table(curves, columns), end="\n\n")
    for title, files in (("results", results), ("pictures", sorted(folder.glob("figures/*.png")))):
        print(title, *map(shown, files), sep="\n  ")
    for fault in faults:
        print(f"error: {fault}; make it again", file=sys.stderr)
    return 2 if faults else 0


def claims_line(claims: list[dict[str, Any]]) -> str:
    """How many claims hold, and the names of those that fail."""
    failed = [claim["name"] for claim in claims if not claim["holds"]]
    controls = sum(claim["negative_control"] for claim in claims)
    comparisons = sum(claim["cases"] for claim in claims)
    return (
        f"claims: {len(claims) - len(failed)} of {len(claims)} hold, {controls} of them negative "
        f"controls, {comparisons} comparisons" + "".join(f"\n  FAILED {name}" for name in failed)
    )


def curve_rows(content: Any, names: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row for each table of TV against N in a record, named by the keys around it."""
    if isinstance(content, list):
        for item in content:
            yield from curve_rows(item, names)
    elif isinstance(content, dict):
        names = {**names, **{key: content[key] for key in NAMES if key in content}}
        rows = content.get("rows")
        if isinstance(rows, list) and rows and all(map(_is_point, rows)):
            tv = {f"tv {row['steps']}": row["tv"] for row in rows}
            blank = {f"tv {n}": None for n in STEPS}
            yield blank | tv | {"name": describe(names), "limit": content.get("limit")}
        else:
            for item in content.values():
                yield from curve_rows(item, names)


def _is_point(row: Any) -> bool:
    """Whether this is a total variation after a number of steps."""
    return isinstance(row, dict) and {"steps", "tv"} <= row.keys()


def describe(names: Mapping[str, Any]) -> str:
    """The names in one line, as in: masked, mixture, components 8."""
    return ", ".join(
        value if isinstance(value, str) else f"{key} {value}"
        for key, value in names.items()
        if value is not None
    )


if __name__ == "__main__":
    run_script(main)
