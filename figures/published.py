"""Published numbers, each with its source; pictures show them beside our runs.

Only numbers that are known to be published are here. A missing cell is drawn blank, never guessed.
"""

from dataclasses import dataclass, field

DI4C = "Hayakawa et al., ICML 2025 (arXiv 2410.08709)"
DIMO = "table of Di[M]O (arXiv 2503.15457)"
REDI = "table of ReDi (arXiv 2507.15897)"
IDLM = "table of IDLM (arXiv 2602.19066)"
MMD = "the authors of MDLM-MMD"


@dataclass(frozen=True)
class Published:
    """Metrics of one model at one number of steps.

    Attributes:
        experiment: "cifar10", "imagenet" or "openwebtext".
        method: what the source calls it.
        role: "teacher", "student" or "hybrid" of Di4C, or "rival" for other methods.
        steps: as the source counts them.
        metrics: by the names of `full_scale.evaluate`, and "precision" and "recall".
        source: where the numbers stand.
        approximate: whether the numbers were read off a plot or rounded ("about").
    """

    experiment: str
    method: str
    role: str
    steps: int
    metrics: dict[str, float] = field(hash=False)
    source: str
    approximate: bool = False


def _imagenet(
    method: str, role: str, steps: int, fid: float, score: float, source: str, **more: float
) -> Published:
    """A row of ImageNet: FID and inception score."""
    return Published("imagenet", method, role, steps, {"fid": fid, "is": score, **more}, source)


def _openwebtext(
    method: str, role: str, steps: int, perplexity: float, entropy: float, mauve: float
) -> Published:
    """A row of OpenWebText in the table of IDLM."""
    metrics = {"perplexity": perplexity, "entropy": entropy, "mauve": mauve}
    return Published("openwebtext", method, role, steps, metrics, IDLM)


PUBLISHED = (
    Published("cifar10", "tauLDR", "teacher", 10, {"fid": 32.61}, DI4C),
    Published("cifar10", "tauLDR", "teacher", 20, {"fid": 12.36}, DI4C),
    Published("cifar10", "tauLDR", "teacher", 40, {"fid": 8.0}, DI4C),
    Published("cifar10", "Di4C", "student", 10, {"fid": 20.64}, DI4C),
    Published("cifar10", "Di4C", "student", 20, {"fid": 9.77}, DI4C),
    Published("cifar10", "Di4C hybrid", "hybrid", 20, {"fid": 9.5}, DI4C),
    _imagenet("Di4C", "student", 4, 6.79, 209.2, DI4C),
    _imagenet("Di4C-d", "student", 4, 6.57, 213.6, DI4C),
    _imagenet("MaskGIT", "teacher", 16, 6.60, 224.07, DIMO),
    _imagenet("MaskGIT", "teacher", 8, 6.66, 221.57, DIMO),
    _imagenet("MaskGIT", "teacher", 4, 10.73, 192.29, DIMO),
    _imagenet("MaskGIT", "teacher", 2, 91.35, 13.37, DIMO),
    _imagenet("MaskGIT", "teacher", 8, 6.51, 227.0, REDI),
    _imagenet("MaskGIT", "teacher", 4, 10.90, 184.0, REDI),
    _imagenet("MaskGIT", "teacher", 1, 95.16, 12.0, REDI),
    _imagenet("Di4C", "student", 4, 6.20, 216.0, REDI, precision=0.87, recall=0.52),
    _imagenet("Di4C", "student", 1, 90.32, 13.0, REDI),
    _imagenet("SDTT", "rival", 4, 8.97, 205.0, REDI),
    _imagenet("SDTT", "rival", 1, 90.40, 14.0, REDI),
    _imagenet("ReDi1", "rival", 4, 7.58, 228.0, REDI),
    _imagenet("ReDi1", "rival", 1, 37.43, 49.0, REDI),
    _imagenet("ReDi2", "rival", 4, 7.86, 240.0, REDI),
    _imagenet("ReDi2", "rival", 1, 21.80, 90.0, REDI),
    _imagenet("ReDi3-distill", "rival", 1, 11.68, 182.0, REDI),
    _openwebtext("SDTT + Di4C\u00b2", "student", 16, 44.82, 5.34, 0.90),
    _openwebtext("SDTT", "teacher", 16, 61.34, 5.36, 0.88),
    _openwebtext("IDLM", "rival", 16, 32.75, 5.42, 0.93),
    _openwebtext("MDLM", "rival", 1024, 41.29, 5.28, 0.89),
    Published(
        "openwebtext", "MDLM-MMD", "rival", 16, {"perplexity": 26.8, "entropy": 5.43}, MMD, True
    ),
)


@dataclass(frozen=True)
class Latency:
    """Seconds to generate a batch, by the product model and by the mixture.

    Attributes:
        experiment: as in `Published`.
        product: seconds; None if no seconds are published.
        mixture: seconds; None if no seconds are published.
        source: who measured it.
    """

    experiment: str
    product: float | None
    mixture: float | None
    source: str = DI4C

    @property
    def overhead(self) -> float | None:
        """Relative extra time of the mixture: mixture / product - 1."""
        if self.product is None or self.mixture is None:
            return None
        return self.mixture / self.product - 1


LATENCIES = (
    Latency("cifar10", 0.5515, 0.5786),
    Latency("imagenet", None, None),  # published as "unchanged", without seconds
    Latency("openwebtext", 3.3409, 3.4817),
)


def published(experiment: str, metric: str) -> list[Published]:
    """The rows of one experiment that have a metric."""
    return [row for row in PUBLISHED if row.experiment == experiment and metric in row.metrics]


def sources(rows: list[Published]) -> str:
    """The sources of these rows, each named once."""
    return "; ".join(dict.fromkeys(row.source for row in rows))
