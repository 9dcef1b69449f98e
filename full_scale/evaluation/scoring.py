"""The metrics of a folder of samples: pictures against real ones, texts under a judge."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from full_scale.data.packed import PackedTokens
from full_scale.evaluation.decoding import pictures, texts
from full_scale.evaluation.features import Extractor
from full_scale.evaluation.frechet import FrechetReference
from full_scale.evaluation.inception_score import inception_score
from full_scale.evaluation.intervals import bootstrap_interval
from full_scale.evaluation.judge import Judge, Likelihood, perplexity
from full_scale.evaluation.mauve_score import mauve
from full_scale.evaluation.reference import Look
from full_scale.evaluation.sample_folder import SampleFolder
from full_scale.evaluation.text import self_bleu, sequence_entropy
from full_scale.models.load import Loaded

Metrics = dict[str, dict[str, Any]]

PICTURE_METRICS = {"inception": ("fid", "is"), "pixels": ("frechet",)}
"""Metrics for each kind of features. Only Inception's features give an FID."""
TEXT_METRICS = ("perplexity", "self-bleu", "mauve")
SPLITS = 10
"""Splits of the inception score, as published."""


@dataclass(frozen=True)
class Resampling:
    """How intervals are computed, see `full_scale.evaluation.intervals`.

    Attributes:
        replicates: number of resampled sets.
        level: confidence level.
        seed: seed of the resampling.
    """

    replicates: int
    level: float
    seed: int

    def interval(self, statistic: Callable[[Tensor], float], num_samples: int) -> dict[str, Any]:
        """The statistic and its interval, as JSON."""
        from tqdm import tqdm

        generator = torch.Generator().manual_seed(self.seed)
        options = {"replicates": self.replicates, "level": self.level, "generator": generator}
        with tqdm(total=self.replicates + 1, desc="interval", leave=False) as bar:
            counted = partial(_counted, statistic, bar)
            return bootstrap_interval(counted, num_samples, **options)._asdict()


def score_pictures(
    folder: SampleFolder,
    metrics: Sequence[str],
    extractor: Extractor,
    reference: FrechetReference | None,
    resampling: Resampling,
    look: Look,
    vqgan: Loaded | None = None,
    batch_size: int = 50,
) -> Metrics:
    """FID and inception score of a folder of pixels or codes.

    Args:
        folder: complete samples.
        metrics: some of the metrics that `PICTURE_METRICS` has for the features.
        extractor: computes features and class scores.
        reference: statistics of real pictures, for FID.
        resampling: how intervals are computed.
        look: see `full_scale.evaluation.reference.Look`.
        vqgan: decodes codes.
        batch_size: number of pictures in one call.

    Raises:
        ValueError: If something that a metric needs is missing.
    """
    from tqdm import tqdm

    samples, content = folder.samples(), folder.settings["content"]
    found: list[Tensor] = []
    scores: list[Tensor] = []
    grey = True
    for start in tqdm(range(0, len(samples), batch_size), desc="samples", unit="batches"):
        batch = look(pictures(samples[start : start + batch_size], content, vqgan))
        made = extractor(batch)
        grey = grey and made.grey
        found.append(made.features)
        if made.logits is not None:
            scores.append(made.logits)
    results: Metrics = {}
    features = torch.cat(found)
    if grey and reference is not None and 3 * len(reference.mean) == features.shape[1]:
        features = features[:, : len(reference.mean)]  # the real pictures are grey too
    for name in [metric for metric in metrics if metric in ("fid", "frechet")]:
        if reference is None:
            raise ValueError(f"{name} needs real pictures; give --reference FOLDER or FILE.npz")
        results[name] = resampling.interval(reference.distances(features), len(features))
    if "is" in metrics:
        if not scores:
            raise ValueError("is needs class scores; use --features inception, or leave is out")
        logits = torch.cat(scores)
        splits = min(SPLITS, len(logits))
        # The order of torch-fidelity, so that both give the same number.
        order = torch.from_numpy(np.random.RandomState(2020).permutation(len(logits)))
        results["is"] = resampling.interval(
            lambda rows: inception_score(logits[order[rows]], splits), len(logits)
        )
    return results


def score_texts(
    folder: SampleFolder,
    metrics: Sequence[str],
    resampling: Resampling,
    judge: Judge | None = None,
    tokenizer: Any = None,
    real: PackedTokens | None = None,
    seeds: Sequence[int] = (1, 2, 3, 4, 5),
) -> Metrics:
    """The entropy of a folder of texts, and the metrics that are asked for.

    Args:
        folder: complete samples.
        metrics: some of `TEXT_METRICS`.
        resampling: how intervals are computed. For Self-BLEU, the texts are resampled and the
            texts that they are compared with stay the same.
        judge: language model for perplexity and MAUVE.
        tokenizer: tokenizer of the samples. If the judge has the same tokens, it judges the tokens;
            otherwise it judges the decoded texts.
        real: real texts of the same tokenizer, for MAUVE. As many are used as there are samples.
        seeds: seeds of MAUVE.

    Raises:
        ValueError: If something that a metric needs is missing.
    """
    tokens = np.asarray(folder.samples()).astype(np.int64)
    results: Metrics = {}
    results["entropy"] = _of_mean(sequence_entropy(torch.from_numpy(tokens)), resampling)
    if "self-bleu" in metrics:
        results["self-bleu"] = _of_mean(self_bleu(tokens.tolist()), resampling)
    if not {"perplexity", "mauve"} & set(metrics):
        return results
    if judge is None or tokenizer is None:
        raise ValueError(
            "perplexity and mauve need --judge and --tokenizer; give both, or leave the metrics out"
        )
    same = judge.shares_vocabulary(tokenizer)
    judged = tokens.tolist() if same else judge.encode(texts(tokens, tokenizer))
    if "perplexity" in metrics:
        nll, scored = judge.likelihood(judged)
        # On a logarithmic scale the interval is symmetric, and the perplexity stays positive.
        entry = resampling.interval(
            lambda rows: math.log(perplexity(Likelihood(nll[rows], scored[rows]))), len(nll)
        )
        results["perplexity"] = entry | {
            name: math.exp(entry[name]) for name in ("value", "low", "high")
        }
        results["perplexity"]["judged"] = "tokens" if same else "texts"
    if "mauve" in metrics:
        if real is None or len(real) < len(tokens):
            have = "none" if real is None else f"{len(real)}"
            raise ValueError(
                f"mauve needs {len(tokens)} real texts, as many as samples; got {have}: give "
                "--real data/openwebtext/test, or leave mauve out"
            )
        ours = np.asarray(real.x_0[: len(tokens)]).astype(np.int64)
        truth = ours.tolist() if same else judge.encode(texts(ours, tokenizer))
        mean, deviation, values = mauve(judge.features(truth), judge.features(judged), seeds)
        results["mauve"] = {"value": mean, "deviation": deviation, "values": values}
        results["mauve"]["seeds"] = list(seeds)
    return results


def _counted(statistic: Callable[[Tensor], float], bar: Any, rows: Tensor) -> float:
    value = statistic(rows)
    bar.update()
    return value


def _of_mean(values: Tensor, resampling: Resampling) -> dict[str, Any]:
    return resampling.interval(lambda rows: float(values[rows].mean()), len(values))
