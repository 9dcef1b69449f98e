"""What the command `full_scale.evaluate` measures, with everything opened once for all samples."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from full_scale.data import mnist_tokens
from full_scale.data.packed import PackedTokens
from full_scale.data.tables import open_tokenizer
from full_scale.evaluation.decoding import open_vqgan
from full_scale.evaluation.features import open_extractor
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
from full_scale.models.load import Loaded

Measured = tuple[Metrics, dict[str, Any]]
"""The metrics, and the protocol: settings and models with which they were computed."""

Measure = Callable[[SampleFolder], Measured]


def open_pictures(args: Namespace, content: Mapping[str, Any], resampling: Resampling) -> Measure:
    """A function that measures folders of pictures.

    Args:
        args: options of the command.
        content: what the samples are (`full_scale.models.base.DenoiserConfig.content`).
        resampling: how intervals are computed.

    Raises:
        ValueError: If something that a metric needs is missing.
    """
    metrics = args.metrics or PICTURE_METRICS[args.features]
    if args.reference is None and (needy := {"fid", "frechet"} & set(metrics)):
        raise ValueError(f"{needy.pop()} needs real pictures; give --reference FOLDER or FILE.npz")
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
    protocol = {
        "features": args.features,
        "stretch": args.stretch,
        "reference": _name(args.reference),
        "reference_sha256": reference and reference.sha256,
        "vqgan": vqgan and vqgan.sha256,
    }

    def measure(folder: SampleFolder) -> Measured:
        scores = score_pictures(
            folder, metrics, extractor, reference, resampling, look, vqgan, args.batch
        )
        return scores, protocol

    return measure


def open_texts(args: Namespace, num_values: int, resampling: Resampling) -> Measure:
    """A function that measures folders of texts with tokens 0..num_values - 1.

    Raises:
        ValueError: As for `open_pictures`.
    """
    asked = args.metrics
    if asked is None:
        asked = [m for m in TEXT_METRICS if m != "mauve" or args.real is not None]
    judge = tokenizer = None
    protocol: dict[str, Any] = {}
    if {"perplexity", "mauve"} & set(asked):
        tokenizer = open_tokenizer(args.tokenizer)
        if len(tokenizer) < num_values:
            raise ValueError(
                f"tokenizer {args.tokenizer} has {len(tokenizer)} tokens and the samples "
                f"{num_values}; give the tokenizer of the model"
            )
        judge = Judge(args.judge, args.device, args.batch, args.judge_precision)
        protocol = {"judge": _name(args.judge), "judge_precision": args.judge_precision}
        protocol["tokenizer"] = _name(args.tokenizer)
    real = None if args.real is None else PackedTokens(args.real)
    seeds = range(1, args.mauve_seeds + 1)
    if real is not None:
        protocol["real"] = real.header["sha256"]
    return lambda folder: (
        score_texts(folder, asked, resampling, judge, tokenizer, real, seeds),
        protocol,
    )


def _resolution(content: Mapping[str, Any], vqgan: Loaded | None) -> int:
    """Height and width of the sampled pictures."""
    if content["kind"] == "pixels":
        return content["shape"][-1]
    if "code_book" in content:
        return mnist_tokens.SIDE
    if vqgan is None:
        raise ValueError("samples are codes of a VQGAN; give it: --vqgan FILE")
    return vqgan.vqgan.config.resolution


def _unchanged(batch: torch.Tensor) -> torch.Tensor:
    return batch


def _name(source: str | None) -> str | None:
    """A source without its folders: a hub name stays, a local path becomes its last part."""
    return source if source is None or not Path(source).exists() else Path(source).name
