"""The forward processes of the published models, as data that a checkpoint can carry."""

from dataclasses import asdict, dataclass
from typing import ClassVar

from di4c.processes import MaskedProcess, RateMatrixProcess, gaussian_process
from di4c.schedules import ArccosSchedule, LinearSchedule, LogLinearSchedule


@dataclass(frozen=True)
class GaussianProcessConfig:
    """Arguments of `di4c.processes.gaussian_process`. The defaults are those of CIFAR-10."""

    kind: ClassVar[str] = "gaussian"
    masked: ClassVar[bool] = False

    num_states: int = 256
    rate_sigma: float = 6.0
    stationary_sigma: float = 512.0
    time_base: float = 3.0
    time_exponential: float = 100.0
    floor: float = 1e-8
    epsilon: float = 1e-9

    def build(self) -> RateMatrixProcess:
        """The process."""
        return gaussian_process(**asdict(self))


_SCHEDULES = {
    "arccos": ArccosSchedule,
    "linear": LinearSchedule,
    "log-linear": LogLinearSchedule,
}


@dataclass(frozen=True)
class MaskedProcessConfig:
    """A masked process.

    Attributes:
        num_values: number of values of a token, not counting the mask.
        schedule: "arccos" (MaskGIT), "log-linear" (MDLM, SDTT) or "linear".
    """

    kind: ClassVar[str] = "masked"
    masked: ClassVar[bool] = True

    num_values: int
    schedule: str = "linear"

    def __post_init__(self) -> None:
        if self.schedule not in _SCHEDULES:
            names = ", ".join(map(repr, _SCHEDULES))
            raise ValueError(f"schedule must be one of {names}; got {self.schedule!r}")

    @property
    def num_states(self) -> int:
        """S, including the mask."""
        return self.num_values + 1

    def build(self) -> MaskedProcess:
        """The process."""
        return MaskedProcess(self.num_values, _SCHEDULES[self.schedule]())


ProcessConfig = GaussianProcessConfig | MaskedProcessConfig
