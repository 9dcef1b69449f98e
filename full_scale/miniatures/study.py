"""What a miniature measures: the teacher's curve, and students of every recipe and seed.

Each finished row is appended to the file rows.jsonl. A study that was stopped reads these rows,
continues the training that was stopped, and goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from di4c.rng import fold_seed
from full_scale.miniatures.base import Miniature
from full_scale.miniatures.reading import recorded_row
from full_scale.models.base import DenoiserConfig
from full_scale.models.load import Loaded, load_model
from full_scale.models.sampling import draw
from full_scale.train import train
from full_scale.training.config import Run
from full_scale.training.cost import operations, outline
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.options import Reports
from reporting import append_row, only_writer

RECORD = "rows.jsonl"
DATA_RECIPE = "real data"

_SHOWN = 10  # samples that a row keeps
_BATCH = 1000  # samples that are drawn at once
_SWEEP = (6, 10)  # noises and latents of a sweep


@dataclass(frozen=True)
class Size:
    """How much work to do.

    Attributes:
        samples: number of samples of each model and number of calls.
        calls: numbers of network calls of the students.
        teacher_calls: numbers of network calls of the teacher.
        quick: whether students are trained as `Miniature.quick` says.
    """

    samples: int = 5000
    calls: tuple[int, ...] = (1, 2, 4, 8)
    teacher_calls: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    quick: bool = False


FULL = Size()
QUICK = Size(500, (1, 2), (1, 2, 4, 8), quick=True)


@dataclass(frozen=True)
class Study:
    """One study of a miniature.

    Attributes:
        miniature: what is studied.
        teacher: its teacher.
        source: file or folder of the teacher.
        size: how much work to do.
        folder: folder of the rows and of the students' runs.
        part: part of the data that samples are compared with, "validation" or "test".
        recipes: experiments whose students are trained.
        seeds: seeds of the students. The teacher's samples have the first one.
        share: share of the training data that the students see.
    """

    miniature: Miniature
    teacher: Loaded
    source: str
    size: Size
    folder: Path
    part: str = "test"
    recipes: Sequence[str] = ()
    seeds: Sequence[int] = (0,)
    share: float = 1.0

    def rows(self) -> list[dict[str, Any]]:
        """Train and measure what is not done yet; one row for each model and number of calls."""
        options = {"bar_format": _BAR, "smoothing": 0, "leave": False}
        options |= {"total": self._work(), "desc": self.miniature.name}
        with only_writer(self.folder), tqdm(**options) as bar:
            rows = [self._floor()]
            name = f"{self.miniature.name}-teacher"
            for calls in self.size.teacher_calls:
                rows.append(self._row(name, self.teacher, calls, self.seeds[0], bar))
            for recipe in self.recipes:
                for seed in self.seeds:
                    rows += self._student_rows(recipe, seed, bar)
        return rows

    def student(self, recipe: str, seed: int) -> Loaded:
        """Train a student to the end, or continue its training.

        Raises:
            SystemExit: If the training was stopped by SIGTERM. The next call continues it.
        """
        run = self._run(recipe, seed)
        outcome = train(run)
        if outcome is None or not outcome.finished:
            raise SystemExit(0)
        return load_model(run.out)

    def recipe_name(self, recipe: str) -> str:
        """Name of a recipe in the rows; it ends in the share of the data, as in "@0.1"."""
        return recipe if self.share == 1 else f"{recipe}@{self.share:g}"

    def sweep(self, recipe: str) -> dict[str, Any]:
        """Samples of the first student in one call: the same noise with latents from 0 to 1.

        Args:
            recipe: experiment of the student.

        Returns:
            "latents", and "samples": a list for each noise, with one text for each latent.
        """
        model, seed = self.student(recipe, self.seeds[0]), self.seeds[0]
        count, steps = _SWEEP
        columns, uniforms = [], torch.linspace(0, 1, steps, dtype=torch.float64)
        assert model.latent is not None
        for uniform in uniforms:
            latent = model.latent.quantile(uniform.expand(count, *model.latent.uniform_shape))
            found = draw(
                model.network,
                count,
                self.miniature.plan(1),
                latent=[latent],
                labels=self.miniature.labels(count),
                generator=torch.Generator().manual_seed(fold_seed(seed, 0, "sweep")),
            )
            columns.append(self.miniature.shown(found.samples))
        lines = [list(line) for line in zip(*columns, strict=True)]
        return {"latents": uniforms.tolist(), "samples": lines}

    def _student_rows(self, recipe: str, seed: int, bar: tqdm) -> list[dict[str, Any]]:
        run, name, rows = self._run(recipe, seed), self.recipe_name(recipe), []
        bar.set_postfix_str(f"{name}, seed {seed}")
        done = (run.out / "model.safetensors").exists()
        student = self.student(recipe, seed)
        _advance(bar, _training(run), done=done)
        for calls in self.size.calls:
            rows.append(self._row(name, student, calls, seed, bar))
            if self._has_hybrid(recipe, student, calls):
                rows.append(self._row(name, student, calls, seed, bar, hybrid=True))
        return rows

    def _has_hybrid(self, recipe: str, model: Loaded, calls: int) -> bool:
        """Whether a hybrid is measured: for pure distillation, where the sampler is ancestral."""
        if calls == 1 or recipe != self.miniature.recipes[0]:
            return False
        return self.miniature.plan(calls).resolve(model.network).sampler == "ancestral"

    def _row(
        self,
        recipe: str,
        model: Loaded,
        calls: int,
        seed: int,
        bar: tqdm,
        *,
        hybrid: bool = False,
    ) -> dict[str, Any]:
        """The row of one model and number of calls, from the record if it is there."""
        kind = "hybrid" if hybrid else "student" if model.is_student else "teacher"
        key = self._key(recipe, kind, calls, seed, model.sha256)
        row = self._recorded(key)
        done = row is not None
        if row is None:
            labels = self.miniature.labels(self.size.samples)
            drawn = self.sample(model, calls, seed, labels, hybrid=hybrid)
            share = self.share if model.is_student else 1.0
            scores = self.miniature.score(drawn, labels, self.part, share)
            row = key | scores | {"shown": self.miniature.shown(drawn[:_SHOWN])}
            append_row(self.folder / RECORD, row)
        _advance(bar, self._sampling(calls), done=done)
        return row

    def sample(
        self,
        model: Loaded,
        calls: int,
        seed: int,
        labels: Int[Tensor, "sample"] | None,
        *,
        hybrid: bool = False,
    ) -> Int[Tensor, "sample dim"]:
        """Samples of a model with so many calls. A student gets the latents it was trained for.

        Args:
            model: a teacher or a student.
            calls: number of network calls.
            seed: seed of all random draws.
            labels: class of each sample; None without classes.
            hybrid: whether the student makes the first half of the calls, and the teacher the rest.
        """
        generator = torch.Generator().manual_seed(fold_seed(seed, calls, "miniature"))
        plan = self.miniature.plan(calls)
        if hybrid:  # a grid may end with a step in which hardly any sample needs a call
            grid = model.network.config.time_grid(plan.steps, model.network.process.horizon)
            plan = replace(plan, teacher_steps=len(grid) - 1 - (calls + 1) // 2)
        drawn = []
        for place in torch.arange(self.size.samples).split(_BATCH):
            found = draw(
                model.network,
                len(place),
                plan,
                latent=model.policy,
                labels=None if labels is None else labels[place],
                teacher=self.teacher.network if hybrid else None,
                generator=generator,
            )
            drawn.append(found.samples)
        return torch.cat(drawn)

    def _floor(self) -> dict[str, Any]:
        """What real data score."""
        key = self._key(DATA_RECIPE, "data", 0, 0, None)
        row = self._recorded(key)
        if row is None:
            row = key | self.miniature.floor(self.part)
            append_row(self.folder / RECORD, row)
        return row

    def _key(
        self, recipe: str, model: str, calls: int, seed: int, sha256: str | None
    ) -> dict[str, Any]:
        """What identifies a row."""
        return {
            "miniature": self.miniature.name,
            "recipe": recipe,
            "model": model,
            "nfe": calls,
            "seed": seed,
            "samples": self.size.samples,
            "part": self.part,
            "model_sha256": sha256,
        }

    def _recorded(self, key: dict[str, Any]) -> dict[str, Any] | None:
        return recorded_row(self.folder / RECORD, self.miniature, key)

    def _run(self, recipe: str, seed: int) -> Run:
        """The training run of a student."""
        run: Run = EXPERIMENTS[recipe][1]
        folder = self.folder / f"{self.recipe_name(recipe)}-{seed}"
        run = replace(run, out=folder, seed=seed, teacher=self.source)
        if self.share != 1:
            run = replace(run, data=replace(run.data, share=self.share))
        if self.size.quick:
            run = replace(run, **self.miniature.quick)
            if run.data.generated:
                run = replace(run, data=replace(run.data, generated=500, generated_calls=8))
            reports = Reports(log_every=10, save_every=run.steps, sample_every=0)
            run = replace(run, reports=reports)
        return run

    def _sampling(self, calls: int) -> float:
        """Floating-point operations of the samples of one row."""
        return float(calls * self.size.samples * self._call)

    @cached_property
    def _call(self) -> int:
        """Floating-point operations of one network call for one sample."""
        config = self.teacher.config
        assert isinstance(config, DenoiserConfig)
        return operations(config)

    def _work(self) -> float:
        """Floating-point operations of the whole study, from which its progress is estimated."""
        work = sum(map(self._sampling, self.size.teacher_calls))
        for recipe in self.recipes:
            calls = self.size.calls
            hybrid = [n for n in calls if self._has_hybrid(recipe, self.teacher, n)]
            own = _training(self._run(recipe, self.seeds[0]))
            work += len(self.seeds) * (own + sum(map(self._sampling, [*calls, *hybrid])))
        return work


_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left {postfix}"


def _training(run: Run) -> float:
    """Floating-point operations of a training."""
    return run.steps * outline(run).operations()


def _advance(bar: tqdm, work: float, *, done: bool) -> None:
    """Count finished work. Work of an earlier call does not enter the estimate of the speed."""
    if done:
        bar.initial += work  # type: ignore[operator]
    bar.update(work)
