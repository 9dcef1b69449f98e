r"""Prepare the data of the full-scale experiments: read it once and write it as tokens.

Every command can be interrupted at any time; the same command continues where it stopped.

    python -m full_scale.prepare cifar10                       from the hub (uoft-cs/cifar10)
    python -m full_scale.prepare cifar10 --source DIR          a folder with the columns img, label
    python -m full_scale.prepare openwebtext                   from the hub, as GPT-2 tokens
    python -m full_scale.prepare openwebtext --source DIR --tokenizer DIR
    python -m full_scale.prepare imagenet --source ILSVRC/train --vqgan vqgan.safetensors
    python -m full_scale.prepare imagenet --source ILSVRC/val --split test --vqgan vqgan.safetensors
    python -m full_scale.prepare imagenet --source ten_classes --vqgan vqgan.safetensors \
        --class-map LOC_synset_mapping.txt

The results take 0.18 GB of disk for CIFAR-10, 1.3 GB for ImageNet (half of that with --no-mirror)
and 18 GB for OpenWebText (2 bytes for each of about 9 billion tokens). Files from the hub also stay
in the cache of the library datasets.
"""

from argparse import BooleanOptionalAction, Namespace
from pathlib import Path

from full_scale.data import cifar10, imagenet, openwebtext
from full_scale.data.packed import PackedTokens
from full_scale.evaluation.decoding import open_vqgan
from full_scale.models.device import usable_device
from reporting import at_least, format_table, run_script, script_parser

MODULES = {"cifar10": cifar10, "imagenet": imagenet, "openwebtext": openwebtext}


def main(argv: list[str] | None = None) -> None:
    """Prepare the splits of one data set, and print a table of them."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.prog = "python -m full_scale.prepare"
    parser.add_argument("data", choices=MODULES, help="which data set")
    parser.add_argument("--source", metavar="SOURCE", help="hub name[@revision] or local folder")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder to write to (data/NAME)")
    parser.add_argument(
        "--split", choices=("train", "test"), help="only this split (imagenet: train by default)"
    )
    parser.add_argument(
        "--tokenizer",
        metavar="NAME_OR_DIR",
        default=openwebtext.TOKENIZER,
        help="openwebtext: hub name or local folder of the tokenizer",
    )
    parser.add_argument(
        "--length",
        type=at_least(3),
        metavar="D",
        default=openwebtext.NUM_DIMS,
        help="openwebtext: number of tokens of a sequence",
    )
    parser.add_argument(
        "--held-out",
        type=at_least(1),
        metavar="N",
        default=openwebtext.HELD_OUT,
        help="openwebtext: number of documents at the end that make the test split",
    )
    parser.add_argument("--vqgan", metavar="FILE", help="imagenet: file of the converted VQGAN")
    parser.add_argument(
        "--mirror",
        action=BooleanOptionalAction,
        help="imagenet: encode mirror images as well; default: for the training pictures",
    )
    parser.add_argument(
        "--class-map",
        type=Path,
        metavar="FILE",
        help="imagenet: for a part of the classes. Each line begins with the name of a class's "
        "folder, in the order of the model, as in LOC_synset_mapping.txt of ILSVRC",
    )
    parser.add_argument(
        "--batch",
        type=at_least(1),
        metavar="B",
        default=32,
        help="imagenet: pictures encoded at once",
    )
    parser.add_argument(
        "--device", type=usable_device, default="cpu", help="imagenet: where to encode (cuda)"
    )
    parser.add_argument(
        "--verify", action="store_true", help="read every byte of the result and check its hash"
    )
    args = parser.parse_args(argv)
    out = args.out or MODULES[args.data].FOLDER
    prepared = PREPARE[args.data](args, out)
    if args.verify:
        for data in prepared:
            data.verify()
    rows = [
        {
            "folder": str(data.folder),
            "items": len(data),
            "num_dims": data.num_dims,
            "num_values": data.num_values,
            "gigabytes": data.x_0.nbytes / 1e9,
            "state": "verified" if args.verify else "complete",
        }
        for data in prepared
    ]
    columns = {
        "folder": ("folder", ""),
        "items": ("items", "d"),
        "num_dims": ("D", "d"),
        "num_values": ("S", "d"),
        "gigabytes": ("GB", ".2f"),
        "state": ("state", ""),
    }
    print(format_table(rows, columns))


def _cifar10(args: Namespace, out: Path) -> list[PackedTokens]:
    source = args.source or cifar10.HUB_NAME
    return [cifar10.prepare(out, split, source) for split in _splits(args)]


def _openwebtext(args: Namespace, out: Path) -> list[PackedTokens]:
    source = args.source or openwebtext.HUB_NAME
    return [
        openwebtext.prepare(out, split, source, args.tokenizer, args.length, args.held_out)
        for split in _splits(args)
    ]


def _imagenet(args: Namespace, out: Path) -> list[PackedTokens]:
    if args.source is None or args.vqgan is None:
        raise ValueError(
            "imagenet needs --source DIR, a folder with one folder of pictures per class, and "
            "--vqgan FILE, made by: python -m full_scale.convert vqgan last.ckpt vqgan.safetensors"
        )
    vqgan = open_vqgan(args.vqgan, args.device)
    config = vqgan.vqgan.config
    split = args.split or "train"
    mirror = split == "train" if args.mirror is None else args.mirror
    if split == "train":
        print(
            "encodes the centre of each picture and its mirror image; left out: random crops"
            if mirror
            else "encodes the centre of each picture; left out: random crops and mirror images"
        )
    encoded = imagenet.prepare(
        out,
        split,
        Path(args.source),
        vqgan,
        encoder_name=f"{vqgan.origin} {vqgan.sha256}",
        num_values=config.codebook_size,
        resolution=config.resolution,
        downsampling=config.downsampling,
        mirror=mirror,
        class_map=args.class_map,
        batch_size=args.batch,
        device=args.device,
    )
    return [encoded]


def _splits(args: Namespace) -> tuple[str, ...]:
    return (args.split,) if args.split else ("train", "test")


PREPARE = {"cifar10": _cifar10, "imagenet": _imagenet, "openwebtext": _openwebtext}


if __name__ == "__main__":
    run_script(main)
