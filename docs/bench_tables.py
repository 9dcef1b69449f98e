"""Tables of the recorded benches: time and memory, and what hard use found."""

from collections.abc import Callable
from typing import Any

from full_scale.bench.own_latent import means
from full_scale.models.presets import PRESETS
from full_scale.training.cost import operations
from reporting import ROOT, markdown_table, read_json

RESULTS = ROOT / "results"
_PRESETS = {
    "cifar10": "tauldr-cifar10",
    "imagenet": "maskgit-imagenet",
    "openwebtext": "sdtt-owt",
}


def latency() -> str:
    """How much slower a mixture is than a product model."""
    rows = [
        (
            row["experiment"],
            f"{_added_by_latent(_PRESETS[row['experiment']]):+.2f} %",
            f"{row['overhead_percent']:+.1f} %",
            f"{row['overhead_low']:+.1f} % to {row['overhead_high']:+.1f} %",
            f"{row['noise_percent']:+.1f} %",
        )
        for row in read_json(RESULTS / "latency.json")["rows"]
    ]
    header = ["experiment", "operations, published sizes", "time, reduced sizes"]
    header += ["95 % interval", "product against itself"]
    return markdown_table(header, rows)


def _added_by_latent(name: str) -> float:
    """What the latent adds to the operations of a network call, in percent."""
    student, teacher = PRESETS[name].student(), PRESETS[name].network
    return 100 * (operations(student) / operations(teacher) - 1)


def train_step() -> str:
    """Time and memory of a training step against the plain formula."""
    rows = read_json(RESULTS / "train_bench.json")["rows"]
    found = {(row["experiment"], row["method"]): row for row in rows}
    lines = []
    for name in dict.fromkeys(row["experiment"] for row in rows):
        plain, ours = found[name, "plain"], found[name, "ours"]
        ratios = (ours[key] / plain[key] for key in ("seconds", "extra_mib"))
        lines.append((name, *(f"{ratio:.2f}" for ratio in ratios)))
    return markdown_table(["experiment", "time ratio", "memory ratio"], lines)


def own_model() -> str:
    """Time and memory of a training step of one's own language model, against LoRA."""
    rows = read_json(RESULTS / "own_bench.json")["rows"]
    lines = [
        (
            f"{row['parameters'] / 1e6:,.1f} million",
            row["method"],
            f"{row['seconds']:.2f}",
            f"{row['state_mib']:,.0f}",
            f"{row['peak_mib']:,.0f}",
        )
        for row in rows
    ]
    header = ["parameters", "what is trained", "seconds", "weights and states, MiB", "peak, MiB"]
    return markdown_table(header, lines)


def own_latent() -> str:
    """Kinds of latents for one's own language model: means over the seeds."""
    record = read_json(RESULTS / "own_latent.json")
    lines = [
        (
            row["latent"],
            f"{row['gain']:g}",
            f"{row['loss']:.3f}",
            f"{row['captured']:.3f}",
            *(f"{100 * row[f'real_share_{calls}']:.1f} %" for calls in (1, 2)),
        )
        for row in means(record["rows"])
    ]
    shares = (f"{100 * record['teacher'][f'real_share_{calls}']:.1f} %" for calls in (1, 2))
    lines.append(("teacher", "", "", "", *shares))
    header = ["latent", "gain", "loss", "captured correlation", "real words, 1 call", "2 calls"]
    return markdown_table(header, lines)


def _environments(manifests: list[dict[str, Any]]) -> str:
    """The versions of Python and torch in manifests, each pair once."""
    versions = (about["versions"] for about in manifests)
    pairs = dict.fromkeys(
        (v["python"].rpartition(".")[0], v["torch"].partition("+")[0]) for v in versions
    )
    return ", ".join(f"Python {python} and torch {torch}" for python, torch in sorted(pairs))


def hard_use() -> str:
    """What `python -m tests.hard_use` tried, and how often something went wrong."""
    record = read_json(RESULTS / "robustness.json")
    told: dict[str, Callable[[dict[str, Any]], str]] = {
        "calls": lambda r: f"{r['commands']} command lines, {r['library_calls']} library calls",
        "files": lambda r: (
            f"{r['mutants']:,} damaged files, {r['hostile_pickles']} hostile pickles"
        ),
        "fuzz": lambda r: f"{sum(r['executions'].values()):,} files that atheris changed",
        "kills": lambda r: (
            f"{sum(r['kills'].values())} kills at random moments, {len(r['lost_ranks'])} lost ranks"
        ),
        "numerics": lambda r: (
            f"{max(r['examples'].values()):,} examples of each of {len(r['examples'])} properties"
        ),
        "mutation": lambda r: (
            f"{r['tried']} changes of the code; the tests found {r['killed'] + r['timed out']}, "
            f"and {len(r['survivors']) - len(r['failures'])} change nothing"
        ),
        "orders": lambda r: (
            f"the whole suite in {r['runs']} orders, with {_environments(r['manifests'])}"
        ),
    }
    lines = [
        (f"`{name}`", say(record[name]), str(len(record[name]["failures"])))
        for name, say in told.items()
        if name in record
    ]
    return markdown_table(["part", "tried", "went wrong"], lines)
