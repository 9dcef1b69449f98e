r"""MaskGIT's confidence sampler without noise, with its law computed exactly.

Each step draws a value for every masked position and keeps the most confident draws, as many as the
arccos schedule says. The seen part $x_A$ and the draws together are one x in S^D. For each set A
one pass over S^D therefore finds which draws are kept. Of equal confidences, up to rounding, the
first position is kept.
"""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from di4c.exact import states
from di4c.maskgit_schedule import reveal_counts
from toys.tasks.setting import Output, Setting

STEPS = (1, 2, 4, 8)

_WORK = 2**26  # the largest number of sets A times S^D times D
_DIGITS = 10  # confidences that agree in so many digits are equal


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """One law for each number of steps up to D; none if there are too many sets of positions."""
    num_dims = setting.task.num_dims
    if 2**num_dims * len(setting.q_0) * num_dims > _WORK:
        return
    for n in steps:
        if n <= num_dims:
            counts = reveal_counts(num_dims, n).tolist()
            # With nearly D steps the schedule may reveal nothing in some of them.
            counts = [count for count in counts if count > 0]
            yield Output(_law(setting, counts), nfe=len(counts))


def _law(setting: Setting, counts: list[int]) -> Tensor:
    """The law after steps that reveal `counts` positions each."""
    task, base = setting.task, setting.process.num_states
    x = states(task.num_dims, task.num_values)
    powers = base ** torch.arange(task.num_dims - 1, -1, -1)
    mask = base - 1
    weights = torch.zeros(base**task.num_dims, dtype=torch.float64)  # of partly masked states
    weights[-1] = 1.0
    seen = 0
    for step, count in enumerate(counts):
        t = torch.full((len(x),), 1 - step / len(counts), dtype=torch.float64)
        later = torch.zeros_like(weights)
        for positions in itertools.combinations(range(task.num_dims), seen):
            masked = torch.ones(task.num_dims, dtype=torch.bool)
            masked[list(positions)] = False
            part = torch.where(masked, mask, x)
            log_probs = setting.teacher(part, t).double()
            drawn = log_probs.gather(-1, x[..., None]).squeeze(-1)
            drawn = drawn.masked_fill(~masked, 0.0)
            weight = weights[part @ powers] * drawn.sum(1).exp()
            if not bool(weight.any()):
                continue
            confidence = drawn.exp().round(decimals=_DIGITS).masked_fill(~masked, -1.0)
            order = confidence.argsort(dim=1, descending=True, stable=True)
            kept = part.scatter(1, order[:, :count], x.gather(1, order[:, :count]))
            later.index_add_(0, kept @ powers, weight)
        weights, seen = later, seen + count
    law = weights[x @ powers]
    return law / law.sum()  # a trained teacher is normalised in float32
