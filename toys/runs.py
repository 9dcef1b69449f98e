"""The runs of the benchmark: one method on one task, process and seed, cached and in parallel."""

import functools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import joblib
import torch
from tqdm import tqdm

from di4c.denoisers import Denoiser
from di4c.exact.limits import limit_n_tv
from di4c.processes import MaskedProcess
from toys.cache import RowCache, row_key
from toys.evaluation import check_output, measure
from toys.methods import find_method
from toys.problem import BUDGETS, Budget, Problem
from toys.tasks import Task
from toys.training import train_teacher

TEACHER = "teacher"
"""The method whose rows are the curves that all others are measured against."""

_EXACT_ONLY = ("jump-your-steps", "optimal-grid")
_LAW_DIGITS = 7  # of a probability in a picture
_LONG_CURVE = 16  # a curve that ends earlier is continued by its limit

Row = dict[str, Any]


def _trained_teacher(problem: Problem) -> Denoiser:
    return train_teacher(problem).denoiser


TEACHERS: dict[str, Callable[[Problem], Denoiser] | None] = {
    "exact": None,
    "trained": _trained_teacher,
}
"""What makes the teacher of a problem; None for the exact marginals."""


class Run(NamedTuple):
    """One method on one task, process and seed: what is cached as a whole.

    Attributes:
        task: the law.
        process: a key of PROCESSES.
        method: a key of METHODS.
        seed: of the method and of a trained teacher.
        budget: of training, a trained teacher's too.
        steps: the numbers of network evaluations to ask for.
        teacher: "exact" or "trained", a key of TEACHERS.
    """

    task: Task
    process: str
    method: str
    seed: int
    budget: Budget
    steps: tuple[int, ...]
    teacher: str = "exact"

    def key(self) -> str:
        """Hash of all that the rows depend on."""
        outputs = find_method(self.method).outputs
        function = outputs.func if isinstance(outputs, functools.partial) else outputs
        settings = {
            **{"process": self.process, "method": self.method, "seed": self.seed},
            **{"budget": list(vars(self.budget).values()), "steps": self.steps},
            # What a registry line sets is not in the method's own file.
            "options": repr(outputs.keywords) if isinstance(outputs, functools.partial) else "",
        }
        modules = [function.__module__, "toys.evaluation", "toys.problem"]
        if TEACHERS[self.teacher] is not None:
            settings["teacher"] = self.teacher
            modules.append("toys.training")
        return row_key(modules, self.task.law(), settings)


def compute(run: Run) -> list[Row]:
    """The rows of one run, on one thread.

    Raises:
        ValueError: If the method returns what is no law on the task's states; names the method.
    """
    torch.set_num_threads(1)
    problem = Problem(run.task, run.process, run.seed, run.budget, TEACHERS[run.teacher])
    rows, started = [], time.perf_counter()
    for output in find_method(run.method).outputs(problem, run.steps):
        output = output._replace(law=output.law.detach().double())
        check_output(output, problem, run.method)
        seconds = time.perf_counter() - started
        values = measure(problem.q_0, output.law, run.task.num_dims, run.task.num_values)
        rows.append(
            {"task": run.task.name, "process": run.process, "method": run.method}
            | {"teacher": run.teacher, "latent": output.latent, "nfe": output.nfe}
            | {"seed": run.seed}
            | values
            | {"budget": run.budget.name, "train_seconds": output.train_seconds}
            | {"parameters": output.parameters, "peak_memory": output.peak_memory}
            | {"latent_refinement": output.latent_refinement, "seconds": seconds}
        )
        if run.task.picture and run.seed == 0:
            rows[-1]["law"] = [round(value, _LAW_DIGITS) for value in output.law.tolist()]
        started = time.perf_counter()
    return rows


def plan(
    tasks: Sequence[Task],
    processes: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    budget: Budget,
    quick: bool = False,
    teacher: str = "exact",
) -> list[Run]:
    """All runs that are asked for and the exact teacher's, seed by seed: early rows compare all.

    Within a seed the teacher comes first, and small tasks come before large ones.

    Args:
        tasks: the laws.
        processes: keys of PROCESSES.
        methods: keys of METHODS.
        seeds: of methods that train; the others take the first, unless their teacher is trained.
        budget: of training.
        quick: ask trained methods for one step, and the others but the teacher for at most four.
        teacher: a key of TEACHERS; better grids are known for the exact one alone.
    """
    runs = []
    wanted = [(TEACHER, "exact"), *((name, teacher) for name in methods)]
    for name, kind in dict.fromkeys(wanted):
        method = find_method(name)
        if kind == "trained" and name in _EXACT_ONLY:
            continue
        most = math.inf if name == TEACHER or not quick else 1 if method.trained else 4
        steps = tuple(n for n in method.steps if n <= most)
        for task in tasks:
            for process in processes:
                if process in method.processes:
                    learns = method.trained or kind == "trained"
                    for seed in seeds if learns else seeds[:1]:
                        # The budget is no business of a method that does not train.
                        spent = budget if learns else BUDGETS["standard"]
                        runs.append(Run(task, process, name, seed, spent, steps, kind))
    size = {task.name: task.num_values**task.num_dims for task in tasks}
    return sorted(runs, key=lambda run: (run.seed, run.method != TEACHER, size[run.task.name]))


def execute(
    runs: Sequence[Run], cache: RowCache, jobs: int, resume: bool = True, compute_more: bool = True
) -> list[Row]:
    """The rows of all runs, from the cache where it has them; each run is kept when it ends.

    Args:
        runs: what to do.
        cache: where finished runs are.
        jobs: processes.
        resume: whether to read the cache.
        compute_more: whether to compute what it has not; otherwise that is left out.
    """
    keys = [run.key() for run in tqdm(runs, desc="looking up", leave=False, disable=None)]
    found = {key: cache.get(key) if resume else None for key in keys}
    waiting = [(key, run) for key, run in zip(keys, runs, strict=True) if found[key] is None]
    if waiting and compute_more:
        parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
        results = parallel(joblib.delayed(_keyed)(key, run) for key, run in waiting)
        for key, rows in tqdm(results, total=len(waiting), desc="runs", unit="run", disable=None):
            cache.put(key, rows)
            found[key] = rows
    return [row for key in keys for row in found[key] or []]


def curve_limits(
    tasks: Sequence[Task], rows: Sequence[Row], cache: RowCache, compute_more: bool = True
) -> dict[tuple[str, str], float]:
    """The limit of N TV for the masked tasks whose exact curve ends early, by (task, process)."""
    longest: dict[str, int] = {}
    for row in rows:
        if row["method"] == TEACHER and row["process"] == "masked":
            longest[row["task"]] = max(row["nfe"], longest.get(row["task"], 0))
    limits = {}
    for task in tasks:
        if longest.get(task.name, _LONG_CURVE) >= _LONG_CURVE:
            continue
        law = task.law()
        key = row_key(["di4c.exact.limits"], law, {"limit of N TV": "masked, linear"})
        found = cache.get(key)
        if found is None and compute_more:
            found = [{"limit": limit_n_tv(MaskedProcess(task.num_values), law)}]
            cache.put(key, found)
        if found:
            limits[task.name, "masked"] = found[0]["limit"]
    return limits


def _keyed(key: str, run: Run) -> tuple[str, list[Row]]:
    return key, compute(run)
