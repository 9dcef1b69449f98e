r"""Draw samples of a converted or trained model: pixels as a PNG, tokens as numbers and as text.

Sample i depends on the seed and on i alone. The batch size, the number of processes and
interruptions change it only by the rounding of the network. The same command again continues an
interrupted run.

    python -m full_scale.sample student.safetensors --steps 10 --num-samples 50000 \
        --out samples/student_10

    # hybrid sampling: the teacher makes the last 5 of the 20 calls
    python -m full_scale.sample student.safetensors --steps 20 --num-samples 50000 \
        --teacher tauldr.safetensors --teacher-steps 5 --out samples/hybrid_20

    # the samples have the classes 0, 1, ..., 999, 0, 1, ...
    # and the published guidance: weight 6 in the last of the 4 steps
    python -m full_scale.sample maskgit.safetensors --steps 4 --num-samples 50000 \
        --vqgan vqgan.safetensors --out samples/maskgit_4

    python -m full_scale.sample sdtt.safetensors --steps 32 --num-samples 1024 \
        --tokenizer gpt2 --out samples/sdtt_32

    # the same samples, drawn by 8 GPUs
    torchrun --nproc-per-node 8 -m full_scale.sample ...

The folder then holds samples.npy (N, D), run.json, and a picture or a text file of the first
samples. python -m full_scale.evaluate FOLDER computes their metrics.
"""

import os
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path

import torch

from di4c.latents import LatentPolicy, Redraw
from di4c.rng import SampleGenerators
from full_scale.data.tables import open_tokenizer
from full_scale.evaluation.decoding import open_vqgan, show
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.models.base import DenoiserConfig, Preset
from full_scale.models.device import usable_device
from full_scale.models.load import Loaded, load_model
from full_scale.models.presets import PRESETS
from full_scale.models.sampling import SAMPLERS, Plan, draw, samples_at_once
from reporting import at_least, manifest, only_writer, run_script, script_parser
from reporting.locks import LOCK

SHOWN = "first_samples"
_BATCH_BYTES = 2**32  # memory for probabilities if --batch is left out


def main(argv: list[str] | None = None) -> None:
    """Draw this process's share. The process that finishes last shows the first samples."""
    args = _parse(argv)
    rank, world = _process()
    device = args.device
    model = load_model(args.model, device=device, weights=args.weights)
    teacher = None if args.teacher is None else load_model(args.teacher, device=device)
    # Open the decoders before drawing, so that a wrong name is found at once.
    vqgan = None if args.vqgan is None else open_vqgan(args.vqgan, device)
    tokenizer = None if args.tokenizer is None else open_tokenizer(args.tokenizer)
    folder = open_folder(args, model, teacher)
    if folder.num_done() < folder.num_samples:
        with only_writer(folder.folder, f".rank-{rank}{LOCK}"):
            fill(folder, args, model, teacher, rank, world)
    if folder.num_done() < folder.num_samples:
        return  # another process is still drawing
    folder.seal()  # the process that drew the last row may not have come to it yet
    content = folder.run["settings"]["content"]
    first = folder.samples()[: args.show]
    shown = show(first, content, folder.folder / SHOWN, vqgan, tokenizer)
    where = f"; the first {len(first)} in {shown}" if shown else ""
    print(f"{folder.num_samples} samples in {folder.folder}{where}")


def open_folder(args: Namespace, model: Loaded, teacher: Loaded | None) -> SampleFolder:
    """The folder of the run that the arguments describe.

    Raises:
        ValueError: If the arguments do not fit the model, or the folder holds another run.
    """
    network = model.network
    plan = plan_of(args, model).resolve(network, None if teacher is None else teacher.network)
    if teacher is not None and plan.teacher_steps == 0:
        raise ValueError("teacher is given and makes no calls; add --teacher-steps L")
    config, entry = network.config, preset_of(network.config)
    for label in args.label or ():
        if config.num_classes is None:
            raise ValueError(f"label is {label} and a {config.name} has no classes; leave it out")
        if not 0 <= label < config.num_classes:
            raise ValueError(f"label must lie in 0..{config.num_classes - 1}; got {label}")
    role = "hybrid" if plan.teacher_steps else "student" if model.is_student else "teacher"
    settings = {
        "experiment": args.experiment or (entry.experiment if entry else "other"),
        "role": role,
        "model": {
            "name": model.origin,
            "sha256": model.sha256,
            "weights": model.weights,
            "training_step": model.training_step,
            "checkpoint": model.manifest.get("checkpoint", False),
        },
        "teacher": teacher and {"name": teacher.origin, "sha256": teacher.sha256},
        "plan": asdict(plan),
        "redraw": args.redraw or model.redraw if model.is_student else None,
        "labels": args.label,
        "seed": args.seed,
        "content": config.content(),
    }
    about = manifest(args.seed, model=model.manifest)
    values = network.process.num_values
    return SampleFolder.create(args.out, settings, args.num_samples, config.num_dims, values, about)


def fill(
    folder: SampleFolder,
    args: Namespace,
    model: Loaded,
    teacher: Loaded | None,
    rank: int,
    world: int,
) -> None:
    """Draw those of rows rank, rank + world, rank + 2 world, ... that are not done."""
    from tqdm import tqdm

    own = range(rank, folder.num_samples, world)
    todo = folder.todo(own)
    plan, size = (
        plan_of(args, model),
        args.batch or samples_at_once(model.network, _BATCH_BYTES, 64),
    )
    with tqdm(total=len(own), initial=len(own) - len(todo), unit="samples", position=rank) as bar:
        for start in range(0, len(todo), size):
            positions = todo[start : start + size]
            try:
                result = draw(
                    model.network,
                    len(positions),
                    plan,
                    latent=_latents(model, args.redraw),
                    labels=labels_at(positions, args.label, model),
                    teacher=None if teacher is None else teacher.network,
                    teacher_latent=None if teacher is None else _latents(teacher, args.redraw),
                    generator=SampleGenerators(args.seed, positions),
                )
            except torch.OutOfMemoryError as error:
                raise ValueError(
                    f"out of memory ({str(error).split('.')[0]}) with {size} samples at once: use "
                    "a smaller --batch"
                ) from None
            folder.write(positions, result.samples.cpu().numpy())
            bar.update(len(positions))


def plan_of(args: Namespace, model: Loaded) -> Plan:
    """The sampling plan that the arguments describe, with the published guidance by default."""
    config, guidance = model.network.config, args.guidance
    if guidance is None:
        entry, sampler = preset_of(config), args.sampler or config.samplers[0]
        guidance = entry.guidance if entry and sampler == "confidence" else 0.0
    return Plan(args.steps, args.sampler, args.teacher_steps, guidance, args.temperature)


def labels_at(positions: list[int], asked: list[int] | None, model: Loaded) -> torch.Tensor | None:
    """The class of each sample: the given or all classes in turn. None without classes."""
    num_classes = model.network.config.num_classes
    if num_classes is None:
        return None
    classes = torch.tensor(asked if asked else range(num_classes))
    device = next(model.backbone.parameters()).device
    return classes[torch.tensor(positions) % len(classes)].to(device)


def preset_of(config: DenoiserConfig) -> Preset | None:
    """The preset with the same kind of network, D and S; None if there is none."""
    for entry in PRESETS.values():
        if isinstance(entry.network, DenoiserConfig) and _key(entry.network) == _key(config):
            return entry
    return None


def _key(config: DenoiserConfig) -> tuple[str, int, int]:
    return config.kind, config.num_dims, config.num_states


def _latents(model: Loaded, redraw: Redraw | None) -> LatentPolicy | None:
    return model.policy if redraw is None else model.policy and replace(model.policy, redraw=redraw)


def _process() -> tuple[int, int]:
    """Rank of this process and number of processes, from torchrun or accelerate launch."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def _parse(argv: list[str] | None) -> Namespace:
    parser = script_parser(__doc__, json=False, figure=False, quick=False)
    parser.prog = "python -m full_scale.sample"
    add = parser.add_argument
    add(
        "model",
        help="model file, folder of a finished training run, checkpoint of a run as in "
        "runs/x/checkpoints/step_00005000, or hf:// address",
    )
    add(
        "--weights",
        choices=("averaged", "raw"),
        help="weights of a training run to sample with; default: those of its configuration, as "
        "published: averaged for CIFAR-10, raw for ImageNet and OpenWebText",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the samples")
    # Not --num: launchers would read it as an abbreviation of their own options.
    add("--num-samples", type=at_least(1), default=64, metavar="N", help="number of samples")
    add(
        "--steps",
        type=at_least(1),
        required=True,
        metavar="n",
        help="sampling steps, counted as in the publication of the model",
    )
    add("--sampler", choices=SAMPLERS, help="sampler; by default the published one of the network")
    add("--teacher", metavar="MODEL", help="hybrid sampling: the model that makes the last calls")
    add(
        "--teacher-steps",
        type=at_least(0),
        default=0,
        metavar="L",
        help="hybrid sampling: number of the teacher's calls",
    )
    add(
        "--guidance",
        type=float,
        metavar="W",
        help="guidance weight W of the last step; step i of n has W i / (n - 1). Default: that of "
        "the published evaluation, 6 for the MaskGIT of ImageNet and 0 for others",
    )
    add(
        "--temperature",
        type=float,
        default=4.5,
        help="scale of the noise in the first step (MaskGIT)",
    )
    add(
        "--label",
        type=at_least(0),
        nargs="+",
        metavar="C",
        help="classes of the samples, in turn; default: all classes (MaskGIT)",
    )
    add(
        "--redraw",
        choices=("per_step", "fixed"),
        help="draw a student's latent anew at each step (as published), or once for all steps; "
        "default: as the student was trained",
    )
    fits = "samples drawn at once; default: 64, or fewer if 4 GiB cannot hold them"
    add("--batch", type=at_least(1), metavar="B", help=fits)
    add(
        "--device",
        type=usable_device,
        default="auto",
        help="device, as in cuda:1; auto uses a GPU if there is one",
    )
    add("--vqgan", metavar="MODEL", help="VQGAN that turns codes into pictures")
    add(
        "--tokenizer",
        metavar="NAME_OR_DIR",
        help="tokenizer that turns tokens into text, as in gpt2",
    )
    add("--show", type=at_least(1), default=64, metavar="N", help="number of samples to show")
    add(
        "--experiment",
        metavar="NAME",
        help="experiment in the results; default: found from the network's sizes",
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    run_script(main)
