"""A task of your own: the first of five bits is fair, the others copy it with probability 0.9."""

from di4c.exact import states, total_variation
from toys.methods import METHODS
from toys.tasks.registry import TASKS, Task
from toys.tasks.setting import Setting


def noisy_copies():
    """The law as a vector over all 2^5 states."""
    bits = states(5, 2)
    same = (bits[:, 1:] == bits[:, :1]).double()
    return 0.5 * (0.9 * same + 0.1 * (1 - same)).prod(1)


TASKS["noisy-copies"] = Task("noisy-copies", "five noisy copies of a bit", 2, 5, noisy_copies)

setting = Setting(TASKS["noisy-copies"], "masked")
for name in ("teacher", "sequential"):
    for output in METHODS[name].outputs(setting, (1, 2, 4)):
        print(name, output.nfe, f"{total_variation(output.law, setting.q_0):.4f}")
