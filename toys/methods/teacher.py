"""The product teacher on the uniform grid: the exact curve that all methods are compared with."""

from collections.abc import Iterator

from di4c.exact import mixture_composition, product_composition
from di4c.schedules import uniform_grid
from toys.tasks.setting import Output, Setting
from toys.teachers.masked_curve import BatchLaws, recursion_flops

STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_UNIFORM_FLOPS = 4e12  # the most for one number of steps: about two minutes on one core
_MASKED_FLOPS = 1e12  # the most for all N of a masked curve; 4 x 4 patches get as far as N = 2


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """The law after N equal steps, each a product of the teacher's marginals.

    For the exact masked teacher one computation gives the laws for all N. Numbers of steps that
    would take the exact engine more than minutes are left out.
    """
    if setting.make_teacher is not None:
        for n in filter(lambda n: setting.multi_step, steps):
            law = mixture_composition(
                setting.process, setting.teacher, uniform_grid(n), setting.start
            )
            yield Output(law, nfe=n)
    elif setting.process_name == "masked":
        task = setting.task
        recursions = int(_MASKED_FLOPS / recursion_flops(task.num_dims, task.num_values))
        batches = min(task.num_dims, 2 + recursions)  # L_1 is known, and the last L_m is cheap
        laws = BatchLaws(setting.q_0, task.num_values, batches)
        for n in steps:
            if min(n, task.num_dims) <= batches:
                yield Output(laws.output(n), nfe=n)
    else:
        for n in steps:
            if n == 1 or 2.0 * n * len(setting.q_0) ** 2 <= _UNIFORM_FLOPS:
                grid = uniform_grid(n)
                yield Output(product_composition(setting.process, setting.q_0, grid), nfe=n)
