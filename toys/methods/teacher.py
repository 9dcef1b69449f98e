"""The product teacher on the uniform grid: the curve that every student is measured against."""

from collections.abc import Iterator

from di4c.exact import mixture_composition, product_composition
from di4c.schedules import uniform_grid
from toys.tasks.problem import Output, Problem
from toys.teachers.masked_curve import BatchLaws, recursion_flops

STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

_UNIFORM_FLOPS = 4e12  # for one number of steps: about two minutes of one core
_MASKED_FLOPS = 1e12  # for all N of one masked curve; 4 x 4 patches get as far as N = 2


def outputs(problem: Problem, steps: tuple[int, ...]) -> Iterator[Output]:
    """N equal steps, each the product of the marginals that the teacher gives.

    The exact masked teacher takes one computation for all N. Numbers of steps that would take the
    exact engine more than minutes are left out.
    """
    if problem.make_teacher is not None:
        for n in filter(lambda n: problem.multi_step, steps):
            law = mixture_composition(
                problem.process, problem.teacher, uniform_grid(n), problem.start
            )
            yield Output(law, nfe=n)
    elif problem.process_name == "masked":
        task = problem.task
        recursions = int(_MASKED_FLOPS / recursion_flops(task.num_dims, task.num_values))
        batches = min(task.num_dims, 2 + recursions)  # L_1 is known and the last one is cheap
        laws = BatchLaws(problem.q_0, task.num_values, batches)
        for n in steps:
            if min(n, task.num_dims) <= batches:
                yield Output(laws.output(n), nfe=n)
    else:
        for n in steps:
            if n == 1 or 2.0 * n * len(problem.q_0) ** 2 <= _UNIFORM_FLOPS:
                grid = uniform_grid(n)
                yield Output(product_composition(problem.process, problem.q_0, grid), nfe=n)
