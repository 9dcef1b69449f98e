"""The forward processes of the published models, as data that a checkpoint can carry."""

from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar

from di4c.processes import MaskedProcess, RateMatrixProcess, gaussian_process
from di4c.schedules import ArccosSchedule, LinearSchedule, LogLinearSchedule
from reporting.typed import Within, check_fields

_Scale = Annotated[float, Within(1e-6, 1e6)]
_Tiny = Annotated[float, Within(0, 0.01)]


@dataclass(frozen=True)
class GaussianProcessConfig:
    """Arguments of `di4c.processes.gaussian_process`. The defaults are those of CIFAR-10."""

    kind: ClassVar[str] = "gaussian"
    masked: ClassVar[bool] = False

    num_states: Annotated[int, Within(2, 4096)] = 256
    rate_sigma: _Scale = 6.0
    stationary_sigma: _Scale = 512.0
    time_base: _Scale = 3.0
    time_exponential: _Scale = 100.0
    floor: _Tiny = 1e-8
    epsilon: _Tiny = 1e-9

    def __post_init__(self) -> None:
        check_fields(self)

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

    num_values: Annotated[int, Within(1, 2**24)]
    schedule: str = "linear"

    def __post_init__(self) -> None:
        check_fields(self)
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
