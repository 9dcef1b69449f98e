"""Runs every toy script with --quick and writes a page for each: text, command, output, pictures.

A page is kept while nothing that its script may import has changed since it was written.
"""

import ast
import json
import shlex
import shutil
from pathlib import Path

from figures.catalogue import FIGURES
from reporting import ROOT
from reporting.files import write_whole
from reporting.programs import run_here

# The quick run of the benchmark trains for minutes. Here it takes one task and two methods.
SHORTER = {"leaderboard": ["--task", "pair", "--method", "sequential", "data-likelihood"]}
_INTRODUCTION = """# Gallery

Each page is one script of `toys/`: what it shows, a quick run, and pictures. The quick runs are
executed when these pages are built. The last section of a page shows the recorded full run.

"""
_ROOMS = ("di4c", "toys", "reporting", "figures", "docs")


def scripts() -> list[Path]:
    """The toy scripts, which are the files of toys/ that one can run."""
    return sorted(
        p for p in (ROOT / "toys").glob("*.py") if '__name__ == "__main__"' in p.read_text("utf-8")
    )


def write(folder: Path) -> None:
    """Write the pages and their index.

    Raises:
        RuntimeError: if a script fails, warns, prints nothing or writes other files than asked.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sources = [path for room in _ROOMS for path in (ROOT / room).rglob("*.py")]
    changed = max(path.stat().st_mtime for path in sources)
    for script in scripts():
        page = folder / f"{script.stem}.md"
        if not page.exists() or page.stat().st_mtime < changed:
            page.unlink(missing_ok=True)  # without its pictures it must not count as made
            write_whole(page, _page(script, folder).encode())
    index = folder / "index.md"
    write_whole(index, _index(folder).encode())


def summary(script: Path) -> str:
    """The first paragraph of the script's docstring, in one line."""
    return " ".join(_docstring(script).split("\n\n")[0].split())


def _docstring(script: Path) -> str:
    text = ast.get_docstring(ast.parse(script.read_text("utf-8")))
    assert text, f"{script} has no docstring"
    return text


def _page(script: Path, folder: Path) -> str:
    """Run the script and describe what it did."""
    options = ["--quick", *SHORTER.get(script.stem, []), "--json", f"{script.stem}.json"]
    pictures = [f"{script.stem}.png"] if _draws(script, folder) else []
    if pictures:
        options += ["--figure", script.stem]
    output = _run(script, options, folder / script.stem, pictures)
    text = [f"# {script.name}", _docstring(script), "## A quick run"]
    text += [f"```\npython toys/{script.name} {shlex.join(options)}\n```", f"```text\n{output}```"]
    text += [f"![Picture of the quick run]({script.stem}/{name})" for name in pictures]
    recorded = _recorded(script)
    if recorded:
        text.append("## The recorded full run")
    for name in recorded:
        copy = Path(script.stem) / f"recorded_{name}.png"
        shutil.copyfile(ROOT / "results" / "figures" / f"{name}.png", folder / copy)
        text.append(f"![{name}]({copy})")
    return "\n\n".join(text) + "\n"


def _draws(script: Path, folder: Path) -> bool:
    return "--figure" in run_here([str(script), "--help"], folder).stdout


def _run(script: Path, options: list[str], folder: Path, pictures: list[str]) -> str:
    """Run the script in an empty folder, check what it leaves there, and return what it printed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    result = run_here([str(script), *options], folder)
    expected = {f"{script.stem}.json"}
    for name in pictures:
        expected |= {name, str(Path(name).with_suffix(".pdf"))}
    written = {path.name for path in folder.iterdir()}
    if result.returncode or "Warning" in result.stderr or not result.stdout:
        raise RuntimeError(f"{script} {shlex.join(options)}: {result}")
    if written != expected:
        raise RuntimeError(f"{script} has written {sorted(written)}, not {sorted(expected)}")
    if "manifest" not in json.loads((folder / f"{script.stem}.json").read_text("utf-8")):
        raise RuntimeError(f"{script} has written a JSON file without a manifest")
    return result.stdout


def _recorded(script: Path) -> list[str]:
    """Names of the recorded figures that show a run of this script."""
    found = []
    for name, figure in FIGURES.items():
        commands = list(figure.needs.values())
        picture = ROOT / "results" / "figures" / f"{name}.png"
        if commands and f"toys/{script.name}" in commands[0] and picture.exists():
            found.append(name)
    return found


def _recorded_first(picture: Path) -> tuple[bool, str]:
    return not picture.name.startswith("recorded_"), picture.name


def _index(folder: Path) -> str:
    """One row for each script: its picture and what it is about."""
    lines = ["| script | what it shows | |", "|---|---|---|"]
    for script in scripts():
        shown = sorted((folder / script.stem).glob("*.png"), key=_recorded_first)
        picture = f"![{script.stem}]({script.stem}/{shown[0].name})" if shown else ""
        lines.append(f"| [{script.name}]({script.stem}.md) | {summary(script)} | {picture} |")
    toctree = "\n".join(script.stem for script in scripts())
    return _INTRODUCTION + "\n".join(lines) + f"\n\n```{{toctree}}\n:hidden:\n\n{toctree}\n```\n"
