"""Published numbers, each with where it stands; figures show them beside our runs.

Only what is known to be published is here. A cell that is not here is drawn blank, never guessed.
"""

from dataclasses import dataclass, field

DI4C = "Hayakawa et al., ICML 2025 (arXiv 2410.08709)"
REDI = "ReDi's evaluation"
IDLM = "IDLM's evaluation (arXiv 2602.19066)"
MMD = "the authors of MDLM-MMD"


@dataclass(frozen=True)
class Published:
    """Metrics of one model at one number of steps.

    Attributes:
        experiment: "cifar10", "imagenet" or "openwebtext".
        method: what the source calls it.
        role: "teacher", "student", "hybrid", or "rival" for other methods.
        steps: as the source counts them.
        metrics: by the names of `full_scale.evaluate`.
        source: who measured it.
        approximate: whether the numbers were read off a plot or rounded ("about").
    """

    experiment: str
    method: str
    role: str
    steps: int
    metrics: dict[str, float] = field(hash=False)
    source: str
    approximate: bool = False


PUBLISHED = (
    Published("cifar10", "tauLDR", "teacher", 10, {"fid": 32.61}, DI4C),
    Published("cifar10", "tauLDR", "teacher", 20, {"fid": 12.36}, DI4C),
    Published("cifar10", "tauLDR", "teacher", 40, {"fid": 8.0}, DI4C),
    Published("cifar10", "Di4C", "student", 10, {"fid": 20.64}, DI4C),
    Published("cifar10", "Di4C", "student", 20, {"fid": 9.77}, DI4C),
    Published("cifar10", "Di4C hybrid", "hybrid", 20, {"fid": 9.5}, DI4C),
    Published("imagenet", "MaskGIT", "teacher", 8, {"fid": 6.6, "is": 222.0}, DI4C, True),
    Published("imagenet", "MaskGIT", "teacher", 4, {"fid": 10.7, "is": 190.0}, DI4C, True),
    Published("imagenet", "Di4C", "student", 4, {"fid": 6.79, "is": 209.2}, DI4C),
    Published("imagenet", "Di4C-d", "student", 4, {"fid": 6.57, "is": 213.6}, DI4C),
    Published("imagenet", "Di4C-d, by ReDi", "student", 4, {"fid": 6.20, "is": 216.0}, REDI),
    Published("imagenet", "ReDi", "rival", 4, {"fid": 7.58}, REDI),
    Published("imagenet", "SDTT", "rival", 4, {"fid": 8.97}, REDI),
    Published(
        "openwebtext",
        "SDTT + Di4C\u00b2",
        "student",
        16,
        {"perplexity": 44.8, "entropy": 5.34},
        IDLM,
    ),
    Published("openwebtext", "SDTT", "teacher", 16, {"perplexity": 61.3}, IDLM),
    Published(
        "openwebtext", "MDLM-MMD", "rival", 16, {"perplexity": 26.8, "entropy": 5.43}, MMD, True
    ),
    Published(
        "openwebtext", "IDLM", "rival", 16, {"perplexity": 32.8, "entropy": 5.43}, IDLM, True
    ),
)


@dataclass(frozen=True)
class Latency:
    """Seconds to generate a batch, by the product model and by the mixture.

    Attributes:
        experiment: as in `Published`.
        product: seconds; None where only the comparison is published.
        mixture: seconds; likewise.
        source: who measured it.
    """

    experiment: str
    product: float | None
    mixture: float | None
    source: str = DI4C

    @property
    def overhead(self) -> float | None:
        """Mixture over product, less one."""
        if self.product is None or self.mixture is None:
            return None
        return self.mixture / self.product - 1


LATENCIES = (
    Latency("cifar10", 0.5515, 0.5786),
    Latency("imagenet", None, None),  # "unchanged", without numbers
    Latency("openwebtext", 3.3409, 3.4817),
)


def published(experiment: str, metric: str) -> list[Published]:
    """Those of one experiment that have a metric."""
    return [row for row in PUBLISHED if row.experiment == experiment and metric in row.metrics]


def sources(rows: list[Published]) -> str:
    """Whose numbers these are, each named once."""
    return "; ".join(dict.fromkeys(row.source for row in rows))
