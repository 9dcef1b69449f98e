"""Di4C squared: a second round in which the first student takes the teacher's place.

Each round gets half of the budget. In the second round the first student makes the jumps, in a few
large steps where the product teacher takes many small ones. The second student starts from the
weights of the first.
"""

import copy
from collections.abc import Iterator

from reporting.measure import Meter
from toys.students.jump_training import JumpOptions, train_by_jumps
from toys.students.student import TrainedStudent
from toys.students.training import make_network
from toys.tasks.setting import Output, Setting
from toys.teachers.jumps import StudentJump


def outputs(setting: Setting, steps: tuple[int, ...]) -> Iterator[Output]:
    """Train two rounds without a data term, and yield the second student's laws."""
    options = JumpOptions()
    latent = options.law(setting)
    network = make_network(setting, latent)
    iterations = max(1, setting.budget.iterations // 2)
    with Meter() as meter:
        train_by_jumps(setting, options, network, options.jump(setting), iterations)
        first = copy.deepcopy(network).requires_grad_(False)
        jump = StudentJump(setting.process, first.denoiser, latent)
        train_by_jumps(setting, options, network, jump, iterations, round_number=1)
    yield from TrainedStudent(setting, network, latent, options.latent, meter).outputs(steps)
