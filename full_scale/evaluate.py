r"""Compute metrics of samples: FID and inception score of pictures, perplexity and more of texts.

    python -m full_scale.evaluate samples/student_10 --reference data/cifar10/train

    python -m full_scale.evaluate samples/maskgit_8 --vqgan vqgan.safetensors \
        --reference ILSVRC/val --stretch --save-reference data/imagenet_val.npz

    python -m full_scale.evaluate samples/sdtt_32 --judge gpt2-large --tokenizer gpt2 \
        --real data/openwebtext/test

Pictures: fid and is use torch-fidelity's Inception network (pip install -e '.[metrics]'). With
--features pixels, the metric is the Frechet distance of the pixels. It is called frechet because it
is not an FID.

Texts: generative perplexity under any causal language model, from the hub or a folder; Self-BLEU;
MAUVE over several seeds (mauve-text). The entropy is always computed, because perplexity alone
rewards texts that repeat themselves.

Each number except MAUVE comes with a bootstrap interval at the given level.

The command adds one row to results/evaluations.jsonl, with the manifests of the samples and of the
evaluation. python -m figures shows it beside the published numbers. The keys of a row are
experiment, role (teacher, student, hybrid), model, sampler, steps, teacher_steps, guidance, redraw,
sampling_seed, num_samples, few_samples (below 50 000), metrics, protocol, manifest.
"""

from argparse import Namespace
from pathlib import Path
from typing import Any

import torch

from full_scale.data import mnist_tokens
from full_scale.data.packed import PackedTokens
from full_scale.data.tables import open_tokenizer
from full_scale.evaluation.decoding import open_vqgan
from full_scale.evaluation.features import EXTRACTORS, open_extractor
from full_scale.evaluation.judge import Judge
from full_scale.evaluation.reference import open_reference, stretched
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.evaluation.scoring import (
    PICTURE_METRICS,
    TEXT_METRICS,
    Metrics,
    Resampling,
    score_pictures,
    score_texts,
)
from full_scale.models.device import usable_device
from full_scale.models.load import Loaded
from reporting import (
    ROOT,
    append_row,
    at_least,
    check_rows,
    format_table,
    manifest,
    output_file,
    run_script,
    script_parser,
)
from reporting.files import require_writable

PUBLISHED_SAMPLES = 50_000
RESULTS = ROOT / "results" / "evaluations.jsonl"
_REPLICATES = {"pictures": 20, "texts": 1000}
_BATCH = {"pictures": 50, "texts": 8}

Measured = tuple[Metrics, dict[str, Any]]
"""The metrics, and the protocol: settings and models with which they were computed."""


def main(argv: list[str] | None = None) -> None:
    """Compute the metrics of one folder, print the table and add the row."""
    args = _parse(argv)
    folder = SampleFolder(args.samples)
    kind = "texts" if folder.run["settings"]["content"]["kind"] == "text" else "pictures"
    _check(args, kind)
    results = args.results or RESULTS
    require_writable(results)
    check_rows(results, "experiment")
    args.batch = args.batch or _BATCH[kind]
    resampling = Resampling(args.replicates or _REPLICATES[kind], args.level, args.seed)
    measure = _texts if kind == "texts" else _pictures
    metrics, protocol = measure(folder, args, resampling)
    row = _row(folder, metrics, protocol, args.seed)
    try:
        _show(row)
    finally:  # the numbers are kept even if nobody can read them, as in `| head -1`
        append_row(results, row)
    print(f"added to {results}")


def _resolution(content: dict[str, Any], vqgan: Loaded | None) -> int:
    """Height and width of the sampled pictures."""
    if content["kind"] == "pixels":
        return content["shape"][-1]
    if "code_book" in content:
        return mnist_tokens.SIDE
    if vqgan is None:
        raise ValueError("samples are codes of a VQGAN; give it: --vqgan FILE")
    return vqgan.vqgan.config.resolution


def _pictures(folder: SampleFolder, args: Namespace, resampling: Resampling) -> Measured:
    metrics = args.metrics or PICTURE_METRICS[args.features]
    if args.reference is None and (needy := {"fid", "frechet"} & set(metrics)):
        raise ValueError(f"{needy.pop()} needs real pictures; give --reference FOLDER or FILE.npz")
    content = folder.run["settings"]["content"]
    vqgan = None if args.vqgan is None else open_vqgan(args.vqgan, args.device)
    extractor = open_extractor(args.features, args.device)
    look = stretched if args.stretch else _unchanged
    reference = None
    if args.reference is not None:
        reference = open_reference(
            args.reference,
            args.features,
            extractor,
            look,
            _resolution(content, vqgan),
            args.batch,
            args.save_reference,
        )
    scores = score_pictures(
        folder, metrics, extractor, reference, resampling, look, vqgan, args.batch
    )
    protocol = {"features": args.features, "stretch": args.stretch}
    return scores, protocol | {"reference": _name(args.reference), "vqgan": vqgan and vqgan.sha256}


def _unchanged(batch: torch.Tensor) -> torch.Tensor:
    return batch


def _texts(folder: SampleFolder, args: Namespace, resampling: Resampling) -> Measured:
    asked = args.metrics
    if asked is None:
        asked = [m for m in TEXT_METRICS if m != "mauve" or args.real is not None]
    judge = tokenizer = None
    protocol: dict[str, Any] = {}
    if {"perplexity", "mauve"} & set(asked):
        tokenizer = open_tokenizer(args.tokenizer)
        if len(tokenizer) < folder.run["num_values"]:
            raise ValueError(
                f"tokenizer {args.tokenizer} has {len(tokenizer)} tokens and the samples "
                f"{folder.run['num_values']}; give the tokenizer of the model"
            )
        judge = Judge(args.judge, args.device, args.batch)
        protocol = {"judge": _name(args.judge), "tokenizer": _name(args.tokenizer)}
    real = None if args.real is None else PackedTokens(args.real)
    seeds = range(1, args.mauve_seeds + 1)
    if real is not None:
        protocol["real"] = real.header["sha256"]
    return score_texts(folder, asked, resampling, judge, tokenizer, real, seeds), protocol


def _name(source: str | None) -> str | None:
    """A source without its folders: a hub name stays, a local path becomes its last part."""
    return source if source is None or not Path(source).exists() else Path(source).name


def _row(
    folder: SampleFolder, metrics: Metrics, protocol: dict[str, Any], seed: int
) -> dict[str, Any]:
    settings, run = folder.run["settings"], folder.run
    return {
        "experiment": settings["experiment"],
        "role": settings["role"],
        "model": settings["model"]["name"],
        "sampler": settings["plan"]["sampler"],
        "steps": settings["plan"]["steps"],
        "teacher_steps": settings["plan"]["teacher_steps"],
        "guidance": settings["plan"]["guidance"],
        "redraw": settings["redraw"],
        "sampling_seed": settings["seed"],
        "num_samples": run["num_samples"],
        "few_samples": run["num_samples"] < PUBLISHED_SAMPLES,
        "metrics": metrics,
        "protocol": protocol,
        "manifest": manifest(seed, samples={"settings": settings, **run["manifest"]}),
    }


def _show(row: dict[str, Any]) -> None:
    what = [row["experiment"], row["role"], row["model"], f"{row['steps']} steps"]
    if row["guidance"]:
        what.append(f"guidance {row['guidance']:g}")
    print(", ".join(what))
    lines = [{"metric": name} | entry for name, entry in row["metrics"].items()]
    level = next(line["level"] for line in lines if "level" in line)
    columns = {"metric": ("metric", ""), "value": ("value", ".4f")}
    columns |= {"low": (f"{level:.0%} from", ".4f"), "high": ("to", ".4f")}
    columns["replicates"] = ("replicates", "d")
    if any("deviation" in line for line in lines):
        columns["deviation"] = ("sd over seeds", ".4f")
    print(format_table(lines, columns))
    if row["few_samples"] and not row["metrics"].keys().isdisjoint({"fid", "is", "frechet"}):
        print(
            f"These are {row['num_samples']} samples. Do not compare them with numbers published "
            f"for {PUBLISHED_SAMPLES}: a Frechet distance falls with the number of samples."
        )


def _check(args: Namespace, kind: str) -> None:
    if args.save_reference is not None and args.save_reference.suffix != ".npz":
        raise ValueError(f"save_reference must end in .npz; got {args.save_reference}")
    saved = args.reference is None or args.reference.endswith(".npz")
    if args.save_reference is not None and saved:
        raise ValueError(
            f"save_reference needs a folder of real pictures as reference; got {args.reference}: "
            "give a folder, or leave save_reference out"
        )
    if not 0 < args.level < 1:
        raise ValueError(f"level must lie in (0, 1), as in 0.95; got {args.level}")
    known = (*TEXT_METRICS, "entropy") if kind == "texts" else PICTURE_METRICS[args.features]
    of = kind if kind == "texts" else f"{kind} by {args.features}"
    for metric in args.metrics or ():
        if metric not in known:
            raise ValueError(f"metrics of {of} are {', '.join(known)}; got {metric!r}")


def _parse(argv: list[str] | None) -> Namespace:
    parser = script_parser(__doc__, json=False, figure=False, quick=False)
    parser.prog = "python -m full_scale.evaluate"
    add = parser.add_argument
    add("samples", type=Path, help="folder made by full_scale.sample")
    every = [*(m for some in PICTURE_METRICS.values() for m in some), "entropy", *TEXT_METRICS]
    add(
        "--metrics",
        nargs="+",
        choices=every,
        metavar="NAME",
        help=f"metrics: some of {', '.join(every)}",
    )
    add("--results", type=Path, metavar="FILE", help="file to which the row is added")
    add("--reference", metavar="SOURCE", help="real pictures: folder, FILE.npz, or digits")
    add(
        "--save-reference",
        type=output_file,
        metavar="FILE.npz",
        help="save the statistics of the real pictures",
    )
    add("--features", choices=EXTRACTORS, default="inception", help="features of pictures")
    add(
        "--stretch",
        action="store_true",
        help="stretch each picture's range to 0..255, as MaskGIT's code does",
    )
    add("--vqgan", metavar="MODEL", help="VQGAN that turns codes into pictures")
    add(
        "--judge",
        metavar="NAME_OR_DIR",
        default="gpt2-large",
        help="causal language model for perplexity and MAUVE",
    )
    add("--tokenizer", metavar="NAME_OR_DIR", default="gpt2", help="tokenizer of the samples")
    add("--real", metavar="DIR", help="real texts for MAUVE, made by full_scale.prepare")
    add(
        "--mauve-seeds",
        type=at_least(1),
        default=5,
        metavar="N",
        help="MAUVE is computed for the seeds 1..N",
    )
    sets = "resampled sets of the bootstrap; default: 20 for pictures, 1000 for texts"
    add("--replicates", type=at_least(2), metavar="N", help=sets)
    add("--level", type=float, default=0.95, help="confidence level of the intervals")
    add(
        "--batch", type=at_least(1), metavar="B", help="batch size; default: 50 pictures or 8 texts"
    )
    add(
        "--device",
        type=usable_device,
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="device, as in cuda:1",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_script(main)
