"""Both sides of Theorem 2, computed exactly while a student is trained.

A student with K categories learns from the exact product teacher on a grid of N steps, by the
sampled losses of `Di4CObjective`. The law is a ring of Ising spins with masked noise. At each
checkpoint dense kernels give both sides of the theorem, without sampling:

    left side   TV(law of the teacher's N steps, law of the student's one step)
    right side  [ sqrt L_distil(r_{t_1}) + sum_n sqrt L_consis(r_{t_n}, 0, t_{n-1}, t_n) ] / sqrt 2

Here r_{t_n} is the law of the teacher's states at time t_n, from the start of generation. The
theorem says that the left side is at most the right side. The two parts of the right side are
columns too. The last columns are TV to the data law, of the student and of the teacher after N
steps; lower is better.

Expected: during training the left side falls from 0.703 to 0.051 and the right side from 1.71 to
0.294. At the end the student's one step has TV 0.154 to the data, the teacher's 8 steps 0.152.
Takes about two minutes; --quick takes seconds.

    python toys/theorem2_training.py --json results/theorem2_training.json
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from di4c.denoisers import ExactDenoiser, as_mixture
from di4c.exact import (
    kl,
    posterior_marginals,
    product_kernel,
    product_law,
    states,
    total_variation,
)
from di4c.exact.laws import require_memory
from di4c.latents import FiniteLatent
from di4c.objective import Di4CObjective
from di4c.recipes import DistillationBelow, FixedGap, Recipe, Weight
from di4c.rng import uniform
from di4c.schedules import uniform_grid
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json
from toys.students.network import Backbone
from toys.students.training import DataSampler, fit, make_network
from toys.tasks.registry import Task
from toys.tasks.setting import Setting
from toys.tasks.synthetic_laws import ring_ising

INVERSE_TEMPERATURE = 1.0
BATCH = 32


def grid_times(
    num_steps: int, batch: int, generator: torch.Generator
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Times (t, u) that are neighbours in a uniform grid; all pairs are equally likely."""
    later = 1 + (uniform((batch,), generator=generator) * num_steps).floor().long()
    grid = uniform_grid(num_steps)
    return grid[later], grid[later - 1]


class Sides:
    """Computes both sides of Theorem 2 for the exact teacher on a grid.

    Args:
        setting: law, process and start.
        grid: times $t_0 = 0 < ... < t_N$.

    Raises:
        ValueError: If the kernels of all steps do not fit into memory.
    """

    def __init__(self, setting: Setting, grid: Sequence[float]) -> None:
        self.setting, self.grid = setting, list(grid)
        process, num_steps = setting.process, len(self.grid) - 1
        size = 8 * num_steps * setting.num_noisy_states**2
        require_memory(size, f"the teacher's kernels of {num_steps} steps")
        # [x_t, x_s] for each step, over all noisy states; at time 0 over the values alone.
        self.teacher = [
            product_kernel(posterior_marginals(process, setting.q_0, s, t))
            for s, t in pairwise(self.grid)
        ]
        values = states(setting.task.num_dims, process.num_states).lt(process.num_values).all(1)
        self.teacher[0] = self.teacher[0][:, values]
        self.laws = [setting.start]  # r_{t_1}, ..., r_{t_N}
        for kernel in reversed(self.teacher[1:]):
            self.laws.insert(0, self.laws[0] @ kernel)
        self.teacher_law = self.laws[0] @ self.teacher[0]

    @torch.no_grad()
    def student_kernel(self, network: Backbone, t: float) -> Float[Tensor, "atom image"]:
        r"""$p^\theta_{0|t}$ for every x_t, float64."""
        process, num_dims = self.setting.process, self.setting.task.num_dims
        x_t = states(num_dims, process.num_states)
        t = torch.full((len(x_t),), t, dtype=torch.float64)
        count = network.encoder.num_embeddings
        kernel = torch.zeros(len(x_t), process.num_values**num_dims, dtype=torch.float64)
        for latent in torch.arange(count):
            log_probs = network.denoiser(x_t, t, latent.expand(len(x_t))).double()
            kernel += product_law(log_probs.softmax(-1)) / count
        return kernel

    def measure(self, network: Backbone) -> dict[str, float]:
        """Left side, right side with its two parts, and TV to the data law."""
        kernels = [self.student_kernel(network, t) for t in self.grid[1:]]
        losses = []
        for n, (law, step, student) in enumerate(
            zip(self.laws, self.teacher, kernels, strict=True)
        ):
            target = step if n == 0 else step @ kernels[n - 1]
            divergence = kl(target, student).clamp_min(0.0)  # rounding may give -1e-17
            losses.append(float(torch.where(law > 0, law * divergence, 0.0).sum()))
        student = self.laws[-1] @ kernels[-1]
        distillation, consistency = math.sqrt(losses[0]), sum(map(math.sqrt, losses[1:]))
        return {
            "left": float(total_variation(self.teacher_law, student)),
            "right": (distillation + consistency) / math.sqrt(2),
            "distillation": distillation / math.sqrt(2),
            "consistency": consistency / math.sqrt(2),
            "tv": float(total_variation(self.setting.q_0, student)),
            "teacher_tv": float(total_variation(self.setting.q_0, self.teacher_law)),
        }


def main(argv: list[str] | None = None) -> None:
    """Train, measure at checkpoints, print the table, write the record."""
    parser = script_parser(__doc__, figure=False)
    add = parser.add_argument
    add("--dims", type=at_least(2, 64), metavar="D", help="number of spins (default: 6)")
    add("--steps", type=at_least(1, 10_000), metavar="N", help="steps of the teacher (default: 8)")
    add(
        "--latents",
        type=at_least(1, 65_536),
        metavar="K",
        help="categories of the latent (default: 32)",
    )
    add("--iterations", type=at_least(1), metavar="I", help="training iterations (default: 3000)")
    args = parser.parse_args(argv)
    defaults = {"dims": 3, "steps": 2, "latents": 4, "iterations": 8}
    if not args.quick:
        defaults = {"dims": 6, "steps": 8, "latents": 32, "iterations": 3000}
    settings = {name: getattr(args, name) or value for name, value in defaults.items()}
    rows = train(seed=args.seed, **settings)
    print(format_table(rows, COLUMNS))
    if args.json:
        payload = {"manifest": manifest(args.seed), **settings, "quick": args.quick}
        write_json(args.json, payload | {"process": "masked", "rows": rows})
        print(f"written to {args.json}")


def train(dims: int, steps: int, latents: int, iterations: int, seed: int) -> list[dict[str, Any]]:
    """One row for each checkpoint: 0, 1, 2, 4, ... and the last iteration."""
    torch.set_num_threads(1)
    task = Task("ising", "Ising ring", 2, dims, lambda: ring_ising(dims, INVERSE_TEMPERATURE))
    setting = Setting(task, "masked", seed)
    latent = FiniteLatent(torch.arange(latents))
    network = make_network(setting, latent)
    sides = Sides(setting, uniform_grid(steps).tolist())
    recipe = Recipe(
        times=FixedGap(1 / steps),  # not used: the loss below passes times of the grid
        data_weight=Weight(0.0),
        distillation=DistillationBelow(1 / steps, inclusive=True),
        num_latents=latents,
        data_marginal_weight=1.0,
        stratified=True,
    )
    teacher = as_mixture(ExactDenoiser(setting.process, setting.q_0), validate=False)
    objective = Di4CObjective(setting.process, network, teacher, recipe, latent)
    draw = DataSampler(setting)
    rows = [{"iteration": 0} | sides.measure(network)]
    bar = tqdm(total=iterations, desc="training", unit="step", disable=None)

    def loss(generator: torch.Generator) -> Tensor:
        x_0, times = draw(BATCH, generator), grid_times(steps, BATCH, generator)
        return objective(x_0, generator=generator, times=times).loss.mean()

    def checkpoint(iteration: int) -> None:
        bar.update()
        if iteration & (iteration - 1) == 0 or iteration % 250 == 0 or iteration == iterations:
            rows.append({"iteration": iteration} | sides.measure(network))

    with bar:
        fit(network, loss, iterations, seed, callback=checkpoint)
    return rows


COLUMNS = {
    "iteration": ("iteration", "d"),
    "left": ("left side", ".4f"),
    "right": ("right side", ".4f"),
    "distillation": ("distillation", ".4f"),
    "consistency": ("consistency", ".4f"),
    "tv": ("TV to data", ".4f"),
    "teacher_tv": ("teacher's TV", ".4f"),
}


if __name__ == "__main__":
    run_script(main)
