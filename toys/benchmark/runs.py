"""The runs of the benchmark: one method on one task, process and seed, cached and in parallel."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import joblib
import torch
from tqdm import tqdm

from di4c.denoisers import Denoiser
from di4c.exact.limits import limit_n_tv
from di4c.processes import MaskedProcess
from reporting import code_version
from toys.benchmark.cache import RowCache, row_key
from toys.benchmark.metrics import Row, evaluate
from toys.methods import find_method
from toys.students.training import trained_teacher
from toys.tasks.problem import BUDGETS, Budget, Problem
from toys.tasks.registry import Task

TEACHER = "teacher"
"""The method whose rows are the curves that all others are measured against."""

_LABELS = ("task", "process", "method", "teacher", "seed", "budget")
_EXACT_ONLY = ("jump-your-steps", "optimal-grid")
_LONG_CURVE = 16  # a curve that ends earlier is continued by its limit


TEACHERS: dict[str, Callable[[Problem], Denoiser] | None] = {
    "exact": None,
    "trained": trained_teacher,
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
        modules = [function.__module__, "toys.benchmark.metrics"]
        make_teacher = TEACHERS[self.teacher]
        if make_teacher is not None:
            settings["teacher"] = self.teacher
            modules.append(make_teacher.__module__)
        settings["shape"] = [self.task.num_values, self.task.num_dims]
        return row_key(modules, self.task.law(), settings)

    def labelled(self, rows: Iterable[Row]) -> list[Row]:
        """Rows with what the run knows of them: two tasks of one law share what is cached."""
        known = dict(zip(_LABELS, self.labels, strict=True))
        return [known | row | known for row in rows]

    @property
    def labels(self) -> tuple[str | int, ...]:
        """What its rows are called by, in the order of `_LABELS`."""
        names = self.task.name, self.process, self.method, self.teacher
        return *names, self.seed, self.budget.name


def compute(run: Run) -> list[Row]:
    """The rows of one run, on one thread; each says which code computed it."""
    torch.set_num_threads(1)
    problem = Problem(run.task, run.process, run.seed, run.budget, TEACHERS[run.teacher])
    rows = evaluate(problem, run.method, find_method(run.method), run.steps)
    return run.labelled({"code": code_version()} | row for row in rows)


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
        seeds: of methods that train; the others need none, unless their teacher is trained.
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
                    for seed in seeds if learns else (0,):
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
    pairs = zip(runs, keys, strict=True)
    return [row for run, key in pairs for row in run.labelled(found[key] or [])]


def with_record(runs: Sequence[Run], rows: Iterable[Row], record: Mapping[str, Any]) -> list[Row]:
    """The rows of all runs in their order; of those that have none, the rows of an earlier record.

    Args:
        runs: what is wanted.
        rows: what this code has computed.
        record: what `--json` wrote; its rows say what code computed them.
    """
    code = record["manifest"]["code"]["sha"]
    earlier = [{"code": code and code[:12]} | row for row in record["rows"]]
    ours, theirs = (_by_labels(each) for each in (rows, earlier))
    return [row for run in runs for row in ours.get(run.labels) or theirs.get(run.labels, [])]


def _by_labels(rows: Iterable[Row]) -> dict[tuple[str | int, ...], list[Row]]:
    groups: dict[tuple[str | int, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in _LABELS), []).append(row)
    return groups


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
        settings = {"limit of N TV": "masked, linear", "num_values": task.num_values}
        key = row_key(["di4c.exact.limits"], law, settings)
        found = cache.get(key)
        if found is None and compute_more:
            found = [{"limit": limit_n_tv(MaskedProcess(task.num_values), law)}]
            cache.put(key, found)
        if found:
            limits[task.name, "masked"] = found[0]["limit"]
    return limits


def _keyed(key: str, run: Run) -> tuple[str, list[Row]]:
    return key, compute(run)
