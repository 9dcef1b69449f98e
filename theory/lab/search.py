"""The search for a counterexample: random starts, gradient ascent, rounding, an exact check.

A round takes one setting. Many random starts are evaluated; the worst of them and some others are
moved by gradients (Adam) towards a violation. Half of them follow the margin right - left, half the
margin relative to the size of both sides, because the first has trivial minima where both sides
vanish. What violates the conjecture in floats is rounded to rationals, the simplest first, and
counts only if it violates the conjecture in exact numbers.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theory.lab.conjecture import Conjecture
from theory.lab.exact_check import Case, rounded_case, simplest
from theory.lab.inputs import Setting

STARTS, KEPT, STEPS = 192, 48, 120  # of a round: random starts, those that move, how often
RATE = 0.15  # of Adam, at the first step; it falls to 0 at the last
MEMORY = 2**21  # numbers in the kernels of all starts of a round
ROUNDING_ERROR = 1e-9  # a violation in floats is larger than this, relative to the sides
TINY = 1e-6  # where both sides are smaller, a small margin means nothing
CHECKED = 3  # violations of a round that are checked exactly


@dataclass
class Outcome:
    """What a search has found.

    Attributes:
        counterexample: the worst violation in exact numbers, None if there is none.
        closest: where no violation was found, the case with the least relative margin.
        least: the least relative margin in floats, (right - left) / (|left| + |right|), or the
            least margin where one side is 0. A negative margin within rounding errors counts as 0.
        starts: number of random inputs.
        evaluations: number of evaluations in floats, those along the ascent included.
        doubtful: violations in floats that exact numbers did not confirm.
        seconds: duration.
    """

    counterexample: Case | None = None
    closest: Case | None = None
    least: float = math.inf
    starts: int = 0
    evaluations: int = 0
    doubtful: int = 0
    seconds: float = 0.0


def search(
    conjecture: Conjecture,
    seconds: float,
    seed: int = 0,
    progress: Callable[[float, Outcome], None] = lambda elapsed, outcome: None,
) -> Outcome:
    """Look for a counterexample until one is found or the time is over.

    Args:
        conjecture: what is to be refuted.
        seconds: time limit. A round that has begun is cut short, an exact check is not.
        seed: of all random draws.
        progress: is told the seconds so far and what was found so far.

    Raises:
        ValueError: if the conjecture raises, or returns NaN or another shape.
    """
    generator = torch.Generator().manual_seed(seed)
    outcome, begin = Outcome(), time.monotonic()
    best: tuple[Setting, list[Tensor]] | None = None
    _try_exactly(conjecture, generator)
    order = torch.randperm(len(conjecture.settings), generator=generator).tolist()
    turn = 0
    while outcome.counterexample is None:
        setting = conjecture.settings[order[turn % len(order)]]
        turn += 1
        ascent = _Ascent(conjecture, setting, generator)
        ascent.run(begin + seconds, lambda: progress(time.monotonic() - begin, outcome))
        outcome.starts += ascent.starts
        outcome.evaluations += ascent.evaluations
        for free in ascent.violations():
            case = simplest(conjecture, setting, free)
            if case is None:
                outcome.doubtful += 1
            elif outcome.counterexample is None or case.relative < outcome.counterexample.relative:
                outcome.counterexample = case
        relative, free = ascent.closest()
        if relative < outcome.least:
            outcome.least, best = relative, (setting, free)
        outcome.seconds = time.monotonic() - begin
        progress(outcome.seconds, outcome)
        if outcome.seconds >= seconds:
            break
    if outcome.counterexample is None and best is not None:
        outcome.closest = rounded_case(conjecture, *best)
    return outcome


def _try_exactly(conjecture: Conjecture, generator: torch.Generator) -> None:
    """Evaluate once in exact numbers: a conjecture that cannot be checked stops here, not late."""
    setting = conjecture.settings[0]
    rounded_case(conjecture, setting, conjecture.draw(setting, generator))


class _Ascent:
    """One round: many inputs of one setting at once."""

    def __init__(
        self, conjecture: Conjecture, setting: Setting, generator: torch.Generator
    ) -> None:
        self.conjecture, self.setting = conjecture, setting
        room = MEMORY // (setting.num_steps * setting.noisy_states ** (2 * setting.num_dims))
        self.starts = max(8, min(STARTS, room))
        draws = [conjecture.draw(setting, generator) for _ in range(self.starts)]
        self.free = [torch.stack(parts) for parts in zip(*draws, strict=True)]
        self.evaluations = 0
        self.sides = self._check(self._evaluate(self.free))

    def run(self, deadline: float, tick: Callable[[], None]) -> None:
        """Move the worst starts, and some others, towards a violation."""
        worst, others = self._relative().argsort().tensor_split([KEPT // 2])
        chosen = torch.cat([worst, others[:: max(1, 2 * len(others) // KEPT)]])
        self.free = [part[chosen].clone().requires_grad_() for part in self.free]
        self.sides = self.sides[chosen]
        moving = [part for part in self.free if part.numel()]
        if not moving:
            return
        optimiser = torch.optim.Adam(moving, lr=RATE)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda k: 0.5 + 0.5 * math.cos(math.pi * k / STEPS)
        )
        followed = torch.arange(len(chosen)) % 2 == 0
        best = [part.detach().clone() for part in self.free]
        for _ in range(STEPS):
            sides = self._evaluate(self.free)
            worse = _relative(sides.detach()) < _relative(self.sides)
            for kept_part, part in zip(best, self.free, strict=True):
                kept_part[worse] = part.detach()[worse]
            self.sides = torch.where(worse[:, None], sides.detach(), self.sides)
            left, right = sides.T
            size = left.detach().abs() + right.detach().abs() + TINY
            objective = torch.where(followed, right - left, (right - left) / size)
            usable = torch.isfinite(objective)
            optimiser.zero_grad()
            if not bool(usable.any()):
                break
            objective[usable].sum().backward()
            for part in moving:
                part.grad = torch.nan_to_num(part.grad, 0.0, 0.0, 0.0)
            optimiser.step()
            schedule.step()
            tick()
            if time.monotonic() > deadline:
                break
        self.free = best

    def violations(self) -> list[list[Tensor]]:
        """Inputs that violate the conjecture in floats, the worst first."""
        bad = self._violated().nonzero().flatten()
        worst = bad[self._relative()[bad].argsort()][:CHECKED]
        return [[part[k] for part in self.free] for k in worst.tolist()]

    def closest(self) -> tuple[float, list[Tensor]]:
        """The least relative margin and where it is; 0 where rounding explains a negative one."""
        relative = self._relative()
        k = int(relative.argmin())
        least = float(relative[k])
        if not self._violated()[k]:
            least = max(least, 0.0)
        return least, [part[k].detach() for part in self.free]

    def _violated(self) -> Tensor:
        """Where the sides violate the conjecture by more than rounding errors, (B,), bool."""
        margin = self.sides[:, 1] - self.sides[:, 0]
        size = self.sides.abs().sum(1).clamp_max(1e12)
        return margin < -ROUNDING_ERROR * (1 + size)

    def _relative(self) -> Tensor:
        return _relative(self.sides)

    def _one(self, *free: Tensor) -> Tensor:
        values = self.conjecture.values(self.setting, free)
        sides = self.conjecture.sides(self.setting, values)
        return torch.stack([torch.as_tensor(side, dtype=torch.float64) for side in sides])

    def _evaluate(self, free: Sequence[Tensor]) -> Tensor:
        """Left and right side of all inputs, (B, 2)."""
        self.evaluations += len(free[0])
        try:
            return torch.func.vmap(self._one)(*free)
        except ValueError as problem:
            if not isinstance(problem.__cause__, RuntimeError):
                raise
            # A conjecture that branches on values cannot be mapped over a batch.
            return torch.stack([self._one(*one) for one in zip(*free, strict=True)])

    def _check(self, sides: Tensor) -> Tensor:
        bad = sides.isnan().any(1).nonzero().flatten()
        if len(bad):
            values = self.conjecture.values(self.setting, [part[bad[0]] for part in self.free])
            shown = "; ".join(
                f"{name} = {_floats(value)}"
                for name, value in zip(self.conjecture.inputs, values, strict=True)
            )
            raise ValueError(
                f"{self.conjecture.path}: conjecture returned NaN at {self.setting}; {shown}"
            )
        return sides


def _relative(sides: Tensor) -> Tensor:
    """(right - left) / (|left| + |right|), or the margin itself where one side is 0.

    It is 1 where both sides are tiny, because this says nothing.
    """
    left, right = sides.T
    margin, size = right - left, sides.abs().sum(1)
    relative = torch.where((left == 0) | (right == 0), margin, margin / size.clamp_min(TINY))
    relative = torch.where((margin > -ROUNDING_ERROR) & (size < TINY), 1.0, relative)
    return torch.where(margin.isinf(), margin, torch.nan_to_num(relative, math.inf))


def _floats(value: Any) -> str:
    value = getattr(value, "stationary", value)
    return " ".join(str([round(float(v), 6) for v in value.detach().flatten()]).split())
