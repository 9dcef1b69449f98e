r"""Compute metrics of samples: FID and inception score of pictures, perplexity and more of texts.

    python -m full_scale.evaluate samples/student_10 --reference data/cifar10/train

    python -m full_scale.evaluate samples/maskgit_8 --vqgan vqgan.safetensors \
        --reference ILSVRC/val --stretch --save-reference data/imagenet_val.npz

    python -m full_scale.evaluate samples/sdtt_32 --judge gpt2-large --tokenizer gpt2 \
        --real data/openwebtext/test

    # quality over training: samples of each checkpoint that the run has kept
    python -m full_scale.evaluate runs/cifar10 --every --steps 10 --num-samples 5000 \
        --reference data/cifar10/train

Pictures: fid and is use torch-fidelity's Inception network (pip install -e '.[metrics]'). With
--features pixels, the metric is the Frechet distance of the pixels. It is called frechet because it
is not an FID.

Texts: generative perplexity under any causal language model, from the hub or a folder; Self-BLEU;
MAUVE over several seeds (mauve-text). The entropy is always computed, because perplexity alone
rewards texts that repeat themselves.

Each number except MAUVE comes with a bootstrap interval at the given level.

The command adds one row to results/evaluations.jsonl, with the manifests of the samples and of the
evaluation. python -m figures shows it beside the published numbers. The keys of a row are
experiment, role (teacher, student, hybrid), model, weights (averaged or raw), training_step,
checkpoint (whether the model is one), sampler, steps, teacher_steps, guidance, redraw,
sampling_seed, num_samples, few_samples (below 50 000), metrics, protocol, manifest.
"""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from full_scale import sample
from full_scale.evaluation.features import EXTRACTORS
from full_scale.evaluation.measuring import Measure, open_pictures, open_texts
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.evaluation.scoring import PICTURE_METRICS, TEXT_METRICS, Metrics, Resampling
from full_scale.models.device import usable_device
from full_scale.models.run_weights import CHECKPOINTS, checkpoints_of
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


def main(argv: list[str] | None = None) -> None:
    """Compute the metrics of each folder of samples, print the table and add the row."""
    args = _parse(argv)
    results = args.results or RESULTS
    require_writable(results)
    check_rows(results, "experiment")
    measure = None
    for folder in sample_folders(args):
        measure = measure or open_measure(args, folder)
        row = _row(folder, *measure(folder), args.seed)
        try:
            _show(row)
        finally:  # the numbers are kept even if nobody can read them, as in `| head -1`
            append_row(results, row)
        print(f"added to {results}")


def open_measure(args: Namespace, folder: SampleFolder) -> Measure:
    """What measures samples like those of a folder, after checks of the options.

    Raises:
        ValueError: If the options do not fit each other or the samples.
    """
    content = folder.settings["content"]
    kind = "texts" if content["kind"] == "text" else "pictures"
    _check(args, kind)
    args.batch = args.batch or _BATCH[kind]
    resampling = Resampling(args.replicates or _REPLICATES[kind], args.level, args.seed)
    if kind == "texts":
        return open_texts(args, folder.run["num_values"], resampling)
    return open_pictures(args, content, resampling)


def sample_folders(args: Namespace) -> Iterator[SampleFolder]:
    """The given folder of samples, or folders that are drawn here of a model or of checkpoints.

    Raises:
        ValueError: If options of drawing are given without --steps, or there is nothing to draw.
    """
    if args.steps is None:
        for name in ("every", "num_samples", "guidance", "weights", "drawn"):
            if getattr(args, name) not in (None, False):
                option = name.replace("_", "-")
                raise ValueError(
                    f"{option} is for samples that are drawn here; add --steps n, the number of "
                    f"sampling steps, or leave --{option} out"
                )
        yield SampleFolder(args.samples)
        return
    for source in checkpoints_of(args.samples) if args.every else [args.samples]:
        run = source if source.is_dir() else source.parent
        run = run.parent if run.name == CHECKPOINTS else run
        wanted = {
            "steps": args.steps,
            "num-samples": args.num_samples or 64,
            "guidance": args.guidance,
            "weights": args.weights,
            "seed": args.seed,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        name = "-".join([source.stem, *(f"{key}{value}" for key, value in given.items())])
        folder = (args.drawn or run / "evaluated") / name
        words = [str(source), "--out", str(folder), "--device", str(args.device)]
        words += [word for key, value in given.items() for word in (f"--{key}", str(value))]
        sample.main(words)
        yield SampleFolder(folder)


def _row(
    folder: SampleFolder, metrics: Metrics, protocol: dict[str, Any], seed: int
) -> dict[str, Any]:
    settings, run = folder.settings, folder.run
    samples = {"settings": settings, "sha256": folder.sha256}
    return {
        "experiment": settings["experiment"],
        "role": settings["role"],
        "model": settings["model"]["name"],
        "weights": settings["model"].get("weights"),
        "training_step": settings["model"].get("training_step"),
        "checkpoint": settings["model"].get("checkpoint", False),
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
        "manifest": manifest(seed, samples=samples | run["manifest"]),
    }


def _show(row: dict[str, Any]) -> None:
    what = [row["experiment"], row["role"], row["model"], f"{row['steps']} steps"]
    if row["checkpoint"]:
        what.append(f"{row['weights']} weights")
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
    if kind == "texts" and args.reference is not None:
        raise ValueError(
            f"reference is for pictures, and these samples are texts; got {args.reference}: leave "
            "--reference out"
        )
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
    add(
        "samples",
        type=Path,
        help="folder made by full_scale.sample; with --steps, a model, the folder of a training "
        "run or a checkpoint of it, of which samples are drawn",
    )
    drawing = parser.add_argument_group("samples that are drawn here")
    drawing.add_argument(
        "--steps", type=at_least(1), metavar="n", help="sampling steps, as in full_scale.sample"
    )
    drawing.add_argument(
        "--every", action="store_true", help="evaluate all checkpoints that the run has kept"
    )
    drawing.add_argument(
        "--num-samples", type=at_least(1), metavar="N", help="number of samples; default: 64"
    )
    drawing.add_argument("--guidance", type=float, metavar="W", help="as in full_scale.sample")
    drawing.add_argument("--weights", choices=("averaged", "raw"), help="as in full_scale.sample")
    drawing.add_argument(
        "--drawn", type=Path, metavar="DIR", help="where samples go; default: evaluated/ of the run"
    )
    every = [*(m for some in PICTURE_METRICS.values() for m in some), "entropy", *TEXT_METRICS]
    add(
        "--metrics",
        nargs="+",
        choices=every,
        metavar="NAME",
        help=f"metrics: some of {', '.join(every)}",
    )
    add("--results", type=output_file, metavar="FILE", help="file to which the row is added")
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
    add(
        "--judge-precision",
        choices=("float32", "bfloat16", "float16"),
        default="float32",
        help="precision in which the judge computes, whatever its files hold",
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
        default="auto",
        help="device, as in cuda:1; auto uses a GPU if there is one",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_script(main)
