"""One coordinate per step, in order: the exact teacher then generates the exact law, in D calls."""

from collections.abc import Iterator

import torch

from di4c.exact import states
from toys.tasks.setting import Output, Setting


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """The chain rule with the teacher's marginals; the number of steps is D, whatever `steps`."""
    task, mask = setting.task, setting.process.mask_state
    law = torch.ones(1, dtype=torch.float64)
    for d in range(task.num_dims):
        known = torch.full((len(law), task.num_dims), int(mask or 0))
        if d:
            known[:, :d] = states(d, task.num_values)
        t = torch.full((len(law),), 1 - d / task.num_dims, dtype=torch.float64)
        row = setting.teacher(known, t)[:, d].double().exp()
        law = (law[:, None] * row).flatten()
    yield Output(law / law.sum(), nfe=task.num_dims)
