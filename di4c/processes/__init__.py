"""Forward processes: the noise of one coordinate, and its reverse steps by Bayes' rule."""

from di4c.processes.base import ForwardProcess
from di4c.processes.composed import CoordinateProcesses, PiecewiseProcess
from di4c.processes.interpolating import (
    InterpolatingProcess,
    UniformProcess,
    absorbing_process,
)
from di4c.processes.masked import MaskedProcess
from di4c.processes.rate_matrix import RateMatrixProcess, gaussian_process, two_state_process

__all__ = [
    "CoordinateProcesses",
    "ForwardProcess",
    "InterpolatingProcess",
    "MaskedProcess",
    "PiecewiseProcess",
    "RateMatrixProcess",
    "UniformProcess",
    "absorbing_process",
    "gaussian_process",
    "two_state_process",
]
