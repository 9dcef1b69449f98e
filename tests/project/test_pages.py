"""README.md and docs/: code prints what is shown, paths exist, numbers are those of the records."""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import di4c
import theory.claim
from docs import gallery, tables
from docs.docstrings import converted
from docs.formulas import mathml
from docs.tables import readme_tables, with_tables
from figures.published import DI4C, DIMO, PUBLISHED
from full_scale.training.cost import outline
from full_scale.training.experiments import EXPERIMENTS
from reporting import ROOT, read_json
from toys.benchmark.tables import comparison
from toys.methods import METHODS
from toys.tasks.registry import TASKS

README = (ROOT / "README.md").read_text("utf-8")
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def results(name: str):
    """A record of results/."""
    return read_json(ROOT / "results" / f"{name}.json")


def test_the_example_in_the_readme_distils_a_masked_denoiser(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert re.findall(r"^(?:from|import) .*", code, re.MULTILINE) == ["import di4c", "import torch"]
    assert ";" not in code
    exec(compile(code, "README.md", "exec"), {})
    share = float(re.search(r"([\d.]+)%", capsys.readouterr().out).group(1))
    assert share > 85  # a product sampler gets 50 in one step


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_python_on_the_pages_prints_what_is_shown(page):
    blocks = re.findall(
        r"```python\n(.*?)```\n(?:\n```text\n(.*?)```)?", page.read_text(), re.DOTALL
    )
    for code, shown in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, str(page), "exec"), {})
        assert printed.getvalue() == shown


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_extending_prints_what_is_shown(path):
    page = (ROOT / "docs" / "extend.md").read_text("utf-8")
    _, _, after = page.partition(f"{{literalinclude}} examples/{path.name}\n")
    block = re.search(r"\{code-block\} text\n:caption: [^\n]*\n\n(.*?)```", after, re.DOTALL)
    registries = (METHODS, TASKS, theory.claim._REGISTERED)
    printed = io.StringIO()
    with contextlib.ExitStack() as stack:
        for registry in registries:
            stack.enter_context(mock.patch.dict(registry))
        stack.enter_context(contextlib.redirect_stdout(printed))
        runpy.run_path(str(path), run_name="example")
    assert printed.getvalue() == block.group(1)


def test_every_example_is_shown():
    page = (ROOT / "docs" / "extend.md").read_text("utf-8")
    shown = re.findall(r"literalinclude\} (\S+)", page)
    assert {f"examples/{path.name}" for path in EXAMPLES} == {s for s in shown if "tests" not in s}
    assert all((ROOT / "docs" / path).is_file() for path in shown)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_paths_and_links_exist(page):
    text = page.read_text("utf-8")
    rooms = "theory|toys|di4c|tests|full_scale|figures|docs|reporting|results"
    for path in re.findall(rf"`((?:{rooms})/[\w/*.]*)`", text):
        assert list(ROOT.glob(path)), f"{page.name} names {path}, which does not exist"
    for link, anchor in re.findall(r"\]\((?!http)([\w/.]*)#?([\w-]*)\)", text):
        target = (page.parent / link) if link else page
        assert target.exists() or "generated/" in link, f"{page.name} links to {link}"
        if anchor:
            titles = re.findall(r"^#+ (.*)", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w-]", "", t.lower().replace(" ", "-")) for t in titles]


def test_the_tables_of_the_readme_are_those_of_the_records():
    assert with_tables(README) == README, "run: python -m docs.tables"
    changed = README.replace(next(iter(readme_tables().values())), "| other |\n")
    changed = re.sub(r"\d+ more claims", "0 more claims", changed)
    assert with_tables(changed) == README


def test_numbers_in_the_text_are_those_of_the_records():
    panels = {(p["steps"], p["components"]): p["tv"] for p in results("figure1")["panels"]}
    tv = {steps: panels[steps, None] for steps in (1, 4, 64)}
    curves = {curve["process"]: curve for curve in results("digit_patches")["laws"][0]["curves"]}
    teacher = {row["steps"]: row["tv"] for row in curves["masked"]["rows"]}
    runs = results("ablation_two_steps")["runs"]
    groups = {nfe: [run["tv"] for run in runs[:6] if run["nfe"] == nfe] for nfe in (1, 2)}
    assert {run["variant"] for run in runs[:6]} == {"Di4C-d (K = 256)"}
    student = {nfe: sum(values) / len(values) for nfe, values in groups.items()}
    cifar10 = outline(EXPERIMENTS["cifar10"][1]).hours("bf16")
    sentences = {
        "README.md": [
            f"has TV {tv[1]:.3f} after 1 step, {tv[4]:.3f} after 4 and {tv[64]:.3f} after 64. "
            f"A mixture of 8 components has TV {panels[1, 8]:.3f} after 1 step.",
            f"has TV {student[1]:.3f} (lower is better; the teacher needs 16 steps for "
            f"{teacher[16]:.3f}). Two steps are worse than one there, {student[2]:.3f}.",
            f"Counted operations suggest {cifar10:.0f} hours on one GPU",
        ],
        "docs/benchmark.md": [f"the teacher needs 16 steps for {teacher[16]:.3f}."],
    }
    for page, expected in sentences.items():
        text = " ".join((ROOT / page).read_text("utf-8").split())
        for sentence in expected:
            assert " ".join(sentence.split()) in text, f"{page}: {sentence}"


def test_what_the_pages_say_of_the_benchmark():
    found = {
        (line["process"], line["method"], line["nfe"]): line
        for line in comparison(results("leaderboard"))
    }

    def speed_up(method, nfe, process="masked"):
        return found[process, method, nfe]["speed_up"]

    # Which sampler.
    for nfe in (2, 4):
        assert speed_up("hybrid", nfe) < speed_up("di4c-d", nfe)
        assert found["masked", "hybrid", nfe]["least"] > 0.999
        assert abs(speed_up("optimal-grid", nfe) - 1) < 0.01
        assert speed_up("optimal-grid", nfe, "uniform") > 1.3
    greedy = [
        line["speed_up"]
        for line in results("leaderboard")["summary"]
        if (line["method"], line["nfe"]) == ("confidence", 2)
    ]
    assert sum(value < 1 for value in greedy) * 2 == len(greedy)
    # Which latent.
    for process in ("masked", "uniform"):
        one_call = [speed_up("di4c-d" + kind, 1, process) for kind in ("", "-scalar", "-gaussian")]
        assert one_call == sorted(one_call, reverse=True)
        assert speed_up("di4c-d-position", 1, process) < speed_up("di4c-d-scalar", 1, process)
    # Which recipe.
    assert speed_up("data-likelihood", 1, "uniform") > speed_up("di4c-d", 1, "uniform")
    assert abs(speed_up("data-likelihood", 2) - 1) < 0.05
    assert speed_up("data-likelihood", 4) < 0.5
    assert speed_up("data-likelihood", 4, "uniform") < speed_up("di4c-d", 4, "uniform")
    assert speed_up("di4c-squared", 1) < speed_up("di4c", 1)
    best = max(
        speed
        for (p, _, n), line in found.items()
        if (p, n) == ("masked", 4)
        for speed in [line["speed_up"]]
    )
    assert speed_up("published-d", 4) == best


@pytest.mark.slow
def test_the_documentation_builds_without_a_warning(tmp_path):
    """The gallery runs every toy script and checks what it writes."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "docs", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr
    documented = _inventory(tmp_path / "objects.inv")
    for module in (di4c, di4c.exact, di4c.processes, di4c.likelihood):
        for name in module.__all__:
            assert tables.documented_as(getattr(module, name), name) in documented, name
    assert (
        len(list((tmp_path / "generated" / "gallery").glob("*.html"))) == len(gallery.scripts()) + 1
    )


def _inventory(path: Path) -> set[str]:
    """The names that the built pages document."""
    from sphinx.util.inventory import InventoryFile

    inventory = InventoryFile.loads(path.read_bytes(), uri="")
    return {name for kind in inventory.data.values() for name in kind}


@pytest.mark.parametrize("name", [m.name for m in pkgutil.walk_packages(di4c.__path__, "di4c.")])
def test_examples_in_docstrings(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_formulas_and_docstrings_are_converted():
    text = r"A $x_t$ and x_, (S,)*D: `a*b`." + "\n\n    a   b\n    c   d\n\nArgs:\n    x: $q$."
    assert converted(text) == (
        r"A :math:`x_t` and x\_, (S,)\*D: `a*b`." + "\n\n::\n\n    a   b\n    c   d\n\n"
        "Args:\n    x: :math:`q`."
    )
    assert "<msub>" in mathml(r"\textstyle x_t \dots")


def test_published_numbers_in_the_text_are_those_of_the_catalogue():
    known = {(row.method, row.steps, row.source): row.metrics.get("fid") for row in PUBLISHED}
    text = " ".join((ROOT / "docs" / "full_scale.md").read_text("utf-8").split())
    for sentence in (
        f"the student has {known['Di4C', 10, DI4C]} at 10 calls and {known['Di4C', 20, DI4C]} at "
        f"20. The teacher has {known['tauLDR', 10, DI4C]} at 10, {known['tauLDR', 20, DI4C]} at 20 "
        f"and {known['tauLDR', 40, DI4C]} at 40.",
        f"the student has {known['Di4C-d', 4, DI4C]} at 4 calls. The teacher has "
        f"{known['MaskGIT', 4, DIMO]} at 4 calls and {known['MaskGIT', 8, DIMO]} at 8,",
    ):
        assert sentence in text, sentence
