"""A method of your own: the product teacher with short steps near the data."""

from di4c.exact import product_composition, total_variation
from di4c.schedules import quadratic_grid
from toys.methods import METHODS
from toys.tasks.registry import TASKS
from toys.tasks.setting import Method, Output, Setting


def outputs(setting, steps):
    """The exact law after each number of steps."""
    for n in steps:
        grid = quadratic_grid(n, setting.process.horizon)
        yield Output(product_composition(setting.process, setting.q_0, grid), nfe=n)


METHODS["quadratic-grid"] = Method("teacher, quadratic grid", outputs)

setting = Setting(TASKS["pair"], "uniform")
for name in ("teacher", "quadratic-grid"):
    for output in METHODS[name].outputs(setting, (2, 4, 8)):
        print(name, output.nfe, f"{total_variation(output.law, setting.q_0):.4f}")
