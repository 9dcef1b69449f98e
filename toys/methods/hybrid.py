"""Hybrid sampling: the Di4C student makes the first half of the steps, the teacher the second.

At first, when many coordinates are still unknown, the student's correlations matter. Later the
teacher's marginals are good enough. The method needs at least two steps.
"""

from collections.abc import Iterator

from di4c.exact import mixture_composition
from di4c.schedules import uniform_grid
from toys.students.jump_training import JumpOptions, jump_student
from toys.tasks.setting import Output, Setting


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """The student's law at the middle of the grid, continued by the teacher."""
    steps = tuple(nfe for nfe in steps if nfe > 1)
    if not steps or not setting.multi_step:
        return
    student = jump_student(setting, JumpOptions())
    for nfe in steps:
        half = nfe // 2
        middle = student.law(nfe, student.latent.support, last=half)
        grid = uniform_grid(nfe, setting.process.horizon)[: half + 1]
        law = mixture_composition(setting.process, setting.teacher, grid, middle)
        yield student.output(law, nfe, 0.0)
