"""The runs of the benchmark: one method on one task, noise process and seed.

Runs are computed in parallel, and each is cached when it ends.
"""

import dataclasses
import math
import operator
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
from toys.benchmark.record import FoundLimit, MeasuredRow
from toys.methods import find_method
from toys.students.training import trained_teacher
from toys.tasks.registry import Task
from toys.tasks.setting import BUDGETS, Budget, Setting

TEACHER = "teacher"
"""The method whose exact rows are the curves that all others are compared with."""

_LABELS = ("task", "process", "method", "teacher", "seed", "budget")
_EXACT_ONLY = ("jump-your-steps", "optimal-grid")  # methods for the exact teacher alone
_LONG_CURVE = 16  # a curve that ends before so many steps is continued by its limit

TEACHERS: dict[str, Callable[[Setting], Denoiser] | None] = {
    "exact": None,
    "trained": trained_teacher,
}
"""From a setting to its teacher, by the name that `--teacher` takes; None for exact marginals."""


class Run(NamedTuple):
    """One method on one task, process and seed; its rows are cached together.

    Attributes:
        task: the law.
        process: a key of PROCESSES.
        method: a key of METHODS.
        seed: of the method and of a trained teacher.
        budget: of the method's training and of a trained teacher's.
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
        """Hash of everything that the rows depend on."""
        settings = self._asdict() | {"task": [self.task.num_values, self.task.num_dims]}
        settings["budget"] = dataclasses.asdict(self.budget)
        return row_key(self.task.law(), settings)

    def labelled(self, rows: Iterable[Row]) -> list[Row]:
        """Rows with the run's labels; two tasks of the same law share cached rows."""
        known = dict(zip(_LABELS, self.labels, strict=True))
        return [known | row | known for row in rows]

    @property
    def labels(self) -> tuple[str | int, ...]:
        """The values that name the run, in the order of `_LABELS`."""
        names = self.task.name, self.process, self.method, self.teacher
        return *names, self.seed, self.budget.name


def compute(run: Run) -> list[Row]:
    """The rows of one run, computed on one thread; each names the version of the code."""
    torch.set_num_threads(1)
    setting = Setting(run.task, run.process, run.seed, run.budget, TEACHERS[run.teacher])
    rows = evaluate(setting, run.method, find_method(run.method), run.steps)
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
    """The runs to do: those of the methods, and those of the exact teacher.

    All runs of the first seed come first. For each seed the teacher comes first, and small tasks
    come before large ones.

    Args:
        tasks: the laws.
        processes: keys of PROCESSES.
        methods: keys of METHODS.
        seeds: of methods that train. Other methods run once, unless their teacher is trained.
        budget: of training.
        quick: ask trained methods for one step and the others for at most four; the teacher gives
            its whole curve.
        teacher: a key of TEACHERS. Methods that choose a time grid need the exact teacher, and are
            left out with a trained one.
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
                        # Without training the budget does not matter: use one for all.
                        spent = budget if learns else BUDGETS["standard"]
                        runs.append(Run(task, process, name, seed, spent, steps, kind))
    size = {task.name: task.num_values**task.num_dims for task in tasks}
    return sorted(runs, key=lambda run: (run.seed, run.method != TEACHER, size[run.task.name]))


def execute(
    runs: Sequence[Run], cache: RowCache, jobs: int, resume: bool = True, compute_more: bool = True
) -> list[Row]:
    """The rows of all runs, from the cache or computed; each run is cached when it ends.

    Args:
        runs: the runs to do.
        cache: where finished runs are kept.
        jobs: number of worker processes.
        resume: whether to read the cache.
        compute_more: whether to compute runs that are not in the cache; otherwise they are left
            out.
    """
    keys = [run.key() for run in tqdm(runs, desc="looking up", leave=False, disable=None)]
    found = {key: cache.get(key, MeasuredRow) if resume else None for key in keys}
    waiting = [(key, run) for key, run in zip(keys, runs, strict=True) if found[key] is None]
    if waiting and compute_more:
        parallel = joblib.Parallel(n_jobs=min(jobs, len(waiting)), return_as="generator_unordered")
        results = parallel(joblib.delayed(_keyed)(key, run) for key, run in waiting)
        for key, rows in tqdm(results, total=len(waiting), desc="runs", unit="run", disable=None):
            cache.put(key, rows)
            found[key] = rows
    pairs = zip(runs, keys, strict=True)
    return [row for run, key in pairs for row in run.labelled(found[key] or [])]


def with_record(runs: Sequence[Run], rows: Sequence[Row], record: Mapping[str, Any]) -> list[Row]:
    """The rows of all runs in their order; for runs without rows, those of an earlier record.

    Args:
        runs: the runs whose rows to return.
        rows: the rows that this code has computed.
        record: an earlier record, as `--json` writes it; each of its rows names the code that
            computed it.
    """
    labels = operator.itemgetter(*_LABELS)
    place = {run.labels: i for i, run in enumerate(runs)}
    computed = set(map(labels, rows))
    found = [*rows, *(row for row in record["rows"] if labels(row) not in computed)]
    wanted = (row for row in found if labels(row) in place)
    return sorted(wanted, key=lambda row: place[labels(row)])


def curve_limits(
    tasks: Sequence[Task], rows: Sequence[Row], cache: RowCache, compute_more: bool = True
) -> dict[tuple[str, str], float]:
    """The limit of N TV, by (task, process), for masked tasks whose exact curve ends early.

    Args:
        tasks: the laws.
        rows: of the exact teacher, which tell where its curves end; other rows are ignored.
        cache: where computed limits are kept.
        compute_more: whether to compute limits that are not in the cache.
    """
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
        key = row_key(law, settings)
        found = cache.get(key, FoundLimit)
        if found is None and compute_more:
            found = [{"limit": limit_n_tv(MaskedProcess(task.num_values), law)}]
            cache.put(key, found)
        if found:
            limits[task.name, "masked"] = found[0]["limit"]
    return limits


def _keyed(key: str, run: Run) -> tuple[str, list[Row]]:
    return key, compute(run)
