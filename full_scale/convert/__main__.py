r"""Convert a published checkpoint to a model file: safetensors, with network and noise inside.

    python -m full_scale.convert KIND SOURCE OUT.safetensors

    KIND     teacher                                      its Di4C students
    tauldr   ckpt_0001999999.pt (CIFAR-10)                tldr-di4c.pt
    maskgit  MaskGIT_ImageNet_256.pth                     maskgit-di4c-d.pth
    vqgan    last.ckpt (codes of MaskGIT)                 -
    mdlm     model.safetensors of mdlm-owt                -
    sdtt     model.safetensors of sdtt, rounds 6 and 7    sdtt6-di4c2.ckpt, sdtt7-di4c2.ckpt

The students are on Zenodo, record 15124163. The weights show whether a file holds a teacher or a
student, and most sizes; --set gives the other sizes. Nothing in a file is executed. Every tensor
must be used and every parameter filled. Otherwise the names are listed and nothing is written.

    python -m full_scale.convert tauldr tldr-di4c.pt student.safetensors
    python -m full_scale.convert tauldr ckpt_0001999999.pt teacher.safetensors --raw
    python -m full_scale.convert sdtt hf://jdeschena/sdtt@baselines_kld_step_70000 sdtt7.safetensors
    python -m full_scale.convert mdlm hf://kuleshov-group/mdlm-owt mdlm.safetensors
    python -m full_scale.convert mdlm downloads/mdlm-owt mdlm.safetensors
    python -m full_scale.convert vqgan \
        hf://llvictorll/Maskgit-pytorch/pretrained_maskgit/VQGAN/last.ckpt vqgan.safetensors
    python -m full_scale.convert maskgit ten_classes.pth small.safetensors --set num_classes=10
"""

import ast
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from full_scale.convert.kinds import KINDS, to_ours
from full_scale.convert.unpickle import flat_tensors, read_pickle
from full_scale.models.base import BackboneConfig, DenoiserConfig
from full_scale.models.model_file import Misfit, write_model
from full_scale.models.sources import Located, locate
from full_scale.models.tensor_file import file_sha256, read_tensors
from reporting import manifest, run_script, script_parser


def main(argv: list[str] | None = None) -> None:
    """Convert one checkpoint."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=", ".join(KINDS))
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="file, folder of a downloaded repository, or hf://owner/name[@revision][/file]",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="file to write, *.safetensors")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--ema", action="store_true", help="take the averaged weights; the default for tauldr"
    )
    weights.add_argument(
        "--raw",
        action="store_true",
        help="take the weights as trained; the default for other kinds",
    )
    parser.add_argument(
        "--set",
        action="append",
        metavar="NAME=VALUE",
        help=f"a size that the weights do not show ({_unsaid()})",
    )
    parser.add_argument("--force", action="store_true", help="replace OUT if it exists")
    args = parser.parse_args(argv)
    ema = args.ema or (KINDS[args.kind].averaged_by_default and not args.raw)
    known = dict(_setting(text) for text in args.set or ())
    _check_out(args.out, args.force)
    located = locate(args.source)
    if os.path.realpath(args.out) == os.path.realpath(located.path):
        raise ValueError(f"OUT is the source itself: {args.out}; write to another file")
    try:
        config = convert(args.kind, located, args.out, ema=ema, **known)
    except Misfit as misfit:
        _print_names(misfit)
        raise
    _print_summary(args.kind, config, ema, located, args.out)


def convert(
    kind: str, located: Located, out: Path, *, ema: bool = False, **known: Any
) -> BackboneConfig:
    """Write a published checkpoint as a model file.

    Args:
        kind: a key of `full_scale.convert.kinds.KINDS`.
        located: the checkpoint.
        out: file to write; replaced if it exists.
        ema: take the averaged weights.
        **known: fields of the config that the weights do not show.

    Returns:
        The sizes of the network.

    Raises:
        ValueError: If the checkpoint cannot be read, is of another kind, or a weight is not finite.
        Misfit: If tensors are missing or left over.
    """
    flat = read_checkpoint(located.path)
    config, state = to_ours(kind, flat, ema, **known)
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise ValueError(
                f"{located.origin} has weights that are not finite, in {name}; get the file again"
            )
    source = {
        "origin": located.origin,
        "sha256": located.sha256,
        "kind": kind,
        "weights": "averaged" if ema else "raw",
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    write_model(out, config, config.default_process(), state, manifest(source=source))
    return config


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """All tensors of a published file by their places. It may be safetensors or of torch.save.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is neither a safetensors file nor one of torch.save.
    """
    if path.suffix == ".safetensors":
        return read_tensors(path)[0]
    return flat_tensors(read_pickle(path))


def _check_out(out: Path, force: bool) -> None:
    if out.suffix != ".safetensors":
        raise ValueError(f"OUT must end in .safetensors; got {out}")
    if out.exists() and not force:
        raise ValueError(f"OUT exists: {out}; choose another name, or replace it with --force")


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of NAME=VALUE. The value is a Python number, tuple, True, False or None."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        raise ValueError(
            f"--set needs NAME=VALUE, the value a number, tuple, True, False or None; got {text!r}"
        ) from None


def _unsaid() -> str:
    return "; ".join(f"{kind}: {', '.join(layout.unsaid)}" for kind, layout in KINDS.items())


def _print_names(misfit: Misfit) -> None:
    lists = {
        "missing from the checkpoint": misfit.missing,
        "unexpected in the checkpoint": misfit.unexpected,
        "of another shape in the checkpoint": misfit.other_shapes,
    }
    for title, names in lists.items():
        if names:
            print(f"{len(names)} {title}:", *names, sep="\n  ")


def _print_summary(
    kind: str, config: BackboneConfig, ema: bool, located: Located, out: Path
) -> None:
    with torch.device("meta"):
        count = sum(p.numel() for p in config.build().parameters())
    role = ""
    if isinstance(config, DenoiserConfig):
        role = ", student" if config.latent else ", teacher"
    print(f"{kind}: {config.name}{role}, {count:,} parameters")
    print(f"weights: {'averaged' if ema else 'raw'}")
    print(f"source:  {located.origin}  sha256 {located.sha256}")
    print(f"written: {out}  sha256 {file_sha256(out)}")


if __name__ == "__main__":
    run_script(main)
