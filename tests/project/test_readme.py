"""The README's code runs as it stands and does what the text says; its table is the record's."""

import json
import re
from pathlib import Path

from toys.benchmark.ranking import medians, summarise
from toys.methods import find_method

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_example_distils_a_masked_denoiser(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 30
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    share = float(re.search(r"([\d.]+)%", printed).group(1))
    assert share > 85  # a product sampler gets 50 in one step


def test_every_path_in_the_readme_exists():
    paths = re.findall(r"`((?:theory|toys|di4c|tests|full_scale|figures)/[\w/*.]*)`", README)
    paths += re.findall(r"\]\((?!http)([\w/.]+)\)", README)
    assert paths
    for path in paths:
        assert list(ROOT.glob(path)), f"README names {path}, which does not exist"


METHODS = {
    "Di4C-d, our settings, 256 categories": "di4c-d",
    "Di4C-d, our settings, scalar": "di4c-d-scalar",
    "Di4C-d, our settings, 8 Gaussians": "di4c-d-gaussian",
    "Di4C-d, our settings, noise for each position": "di4c-d-position",
    "Di4C, no data term, 256 categories": "di4c",
    "Di4C, a second round, 256 categories": "di4c-squared",
    "data likelihood alone, 256 categories": "data-likelihood",
    "published Di4C-d, same budget, scalar": "published-d",
    "published Di4C, scalar": "published",
    "published Di4C, no control variate, scalar": "no-control-variate",
    "product student, step by step (SDTT), none": "sdtt",
    "product student on rectified pairs (ReDi), none": "rectified",
}


def test_the_speed_ups_are_those_of_the_record():
    rows = json.loads((ROOT / "results" / "leaderboard.json").read_text())["rows"]
    record = {
        (line["process"], line["method"], line["nfe"]): line for line in medians(summarise(rows))
    }
    assert max(row["latent_refinement"] for row in rows) < 1e-3  # as the text says
    tables = re.findall(r"\n\| \| latent \| 1 step.*?\n\n", README, re.DOTALL)
    seen = set()
    for process, table in zip(("masked", "uniform"), tables, strict=True):
        header, _, *lines = table.strip().splitlines()
        laws = {int(n): int(m) for n, m in re.findall(r"(\d) steps?, (\d+) laws", header)}
        name = ""
        for line in lines:
            first, latent, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            name = first or name
            method = METHODS[f"{name}, {latent}"]
            seen.add((process, method))
            for nfe, cell in zip((1, 2, 4), cells, strict=True):
                found = record[process, method, nfe]
                assert (found["tasks"], found["seeds"]) == (laws[nfe], 3), (line, nfe)
                shown = ("speed_up", "least", "greatest") if "(" in cell else ("speed_up",)
                numbers = re.findall(r"\d*\.?\d+", cell)
                for number, key in zip(numbers, shown, strict=True):
                    unit = 1.0 if "." not in number else 0.1
                    assert abs(float(number) - found[key]) <= 0.5001 * unit, (line, nfe, key)
    assert seen == {(p, name) for name in METHODS.values() for p in find_method(name).processes}
