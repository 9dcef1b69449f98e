"""Sum up the records in results/: claims that hold, TV after N steps for each law, the files.

A table of TV against N is a dictionary with "rows" of {"steps", "tv"}, anywhere in a record. It may
have a "limit" of N TV. The keys "law", "process", "sampler" and "components" around it name it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypedDict

from reporting.claims import ClaimRow, failed
from reporting.provenance import ROOT, shown
from reporting.scripts import input_folder, run_script, script_parser, show_errors
from reporting.streams import printable
from reporting.tables import format_table
from reporting.typed import Distance, Size, checking, read_as, typed

STEPS = (1, 2, 4, 8, 16)
NAMES = ("law", "process", "sampler", "components")


class _Record(TypedDict):
    claims: NotRequired[list[ClaimRow]]


class _Point(TypedDict):
    steps: Size
    tv: Distance


class _Curve(TypedDict):
    rows: list[_Point]
    limit: NotRequired[float | None]


_Names = dict[str, str | int | float | None]


def main(argv: list[str] | None = None) -> int:
    """Print the summary; the status is 2 if a file is not a record."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.prog = "python -m reporting"
    parser.add_argument(
        "--results",
        type=input_folder,
        metavar="DIR",
        help="folder of the records (results/ of the clone)",
    )
    folder = parser.parse_args(argv).results or ROOT / "results"
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise ValueError(f"results is {folder}, which holds no JSON file; name a folder of records")
    curves, results, faults = [], [], []
    for path in paths:
        try:
            record = read_as(path, _Record)
            with checking(path, "make it again"):
                found = [{"file": path.stem} | row for row in curve_rows(record, {})]
        except (OSError, ValueError) as error:
            faults.append(str(error))
            continue
        curves += found
        results.append(path)
        if "claims" in record:
            print(claims_text(record["claims"]), end="\n\n")
    if curves:
        print("total variation after N steps, and the limit of N TV where one is known")
        steps = {f"tv {n}": (f"N = {n}", ".4f") for n in STEPS}
        columns = {"file": ("result", ""), "name": ("what", ""), **steps, "limit": ("limit", ".4f")}
        print(format_table(curves, columns), end="\n\n")
    for title, files in (("results", results), ("pictures", sorted(folder.glob("figures/*.png")))):
        print(title, *(printable(shown(file)) for file in files), sep="\n  ")
    return show_errors(faults)


def claims_text(claims: Sequence[ClaimRow]) -> str:
    """How many claims hold, and the names of those that fail."""
    names = failed(claims)
    controls = sum(claim["negative_control"] for claim in claims)
    comparisons = sum(claim["cases"] for claim in claims)
    return (
        f"claims: {len(claims) - len(names)} of {len(claims)} hold, {controls} of them negative "
        f"controls, {comparisons} comparisons"
        + "".join(f"\n  FAILED {printable(name)}" for name in names)
    )


def curve_rows(content: Any, names: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row for each table of TV against N in a record, named by the keys around it.

    Raises:
        ValueError: If such a table, or a name around it, has a wrong value.
    """
    if isinstance(content, list):
        for item in content:
            yield from curve_rows(item, names)
    elif isinstance(content, dict):
        names = {**names, **{key: content[key] for key in NAMES if key in content}}
        rows = content.get("rows")
        if isinstance(rows, list) and rows and all(map(_is_point, rows)):
            curve = typed(_Curve, content)
            tv = {f"tv {row['steps']}": row["tv"] for row in curve["rows"]}
            blank = {f"tv {n}": None for n in STEPS}
            name = describe(typed(_Names, names))
            yield blank | tv | {"name": name, "limit": curve.get("limit")}
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
