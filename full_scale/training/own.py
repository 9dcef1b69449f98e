"""Distils a masked language model of one's own: what `python -m full_scale.train own` runs."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from di4c.denoisers import MixtureNetwork
from di4c.latents import LatentPolicy, UniformLatent, latent_batches
from di4c.objective import Di4CObjective, Objective
from di4c.recipes import Recipe
from di4c.rng import Generator, SampleGenerators, fold_seed, uniform
from di4c.samplers import ancestral
from di4c.schedules import uniform_grid
from full_scale.data.text_columns import Encoder, TextRows
from full_scale.models.huggingface import Base, build, open_base, write_adapter
from full_scale.models.language.latent import LatentLanguageModel
from full_scale.models.language.network import LanguageNetwork
from full_scale.training.objectives import DIAGNOSED, TrainingObjective, latent_use
from full_scale.training.own_cost import needs_copy
from full_scale.training.own_run import OwnRun
from full_scale.training.parallel import full_state
from full_scale.training.trainer import MODEL, Trainer
from reporting import manifest
from reporting.files import write_whole


class _Text:
    """What `Trainer` asks of a network's sizes."""

    num_classes = None

    def content(self) -> dict[str, Any]:
        """Samples are texts."""
        return {"kind": "text"}


@dataclass(kw_only=True)
class OwnTraining(TrainingObjective):
    """The loss of a language model: Di4C, or cross-entropy for a teacher.

    Attributes:
        recipe: times, weights, number of latents; None trains a teacher.
        teacher: a copy of the weights; None for the student without its adapters.
        start: tokens of a text of which nothing but its beginning is given, and which are given.
    """

    recipe: Recipe | None
    teacher: LatentLanguageModel | None
    start: tuple[Tensor, Tensor]

    def to(self, device: torch.device) -> None:
        """Move the teacher to a device."""
        if self.teacher is not None:
            self.teacher.to(device)

    def networks(
        self, network: nn.Module, valid: Tensor | None
    ) -> tuple[MixtureNetwork, MixtureNetwork]:
        """Student and teacher for rows with this padding."""
        process: Any = self.process
        student = LanguageNetwork(network, process, valid)
        if self.teacher is None:
            return student.mixture, replace(student, adapted=False).mixture
        return student.mixture, LanguageNetwork(self.teacher, process, valid).mixture

    def loss(self, network: nn.Module, batch: dict[str, Tensor], generator: Generator) -> Objective:
        """Loss of each example. Columns that are padding in all rows are cut off."""
        x_0, fixed, valid = trimmed(batch)
        if self.recipe is None:
            return self._cross_entropy(network, x_0, fixed, valid, generator)
        student, teacher = self.networks(network, valid)
        objective = Di4CObjective(self.process, student, teacher, self.recipe)  # type: ignore[arg-type]
        return objective(x_0, generator=generator, fixed=fixed, valid=valid)

    def _cross_entropy(
        self, network: nn.Module, x_0: Tensor, fixed: Tensor, valid: Tensor, generator: Generator
    ) -> Objective:
        r"""$\mathbb{E}_t \sum_d -\log p(x_0^d | x_t)$ over the masked tokens."""
        t = 1 - uniform((len(x_0),), generator=generator, device=x_0.device)
        noisy = self.process.sample(x_0, 0.0, t, generator=generator)
        x_t = torch.where(valid & ~fixed, noisy, x_0)
        process: Any = self.process
        mixture = LanguageNetwork(network, process, valid).mixture(x_t[:, None], t, None)
        loss = -mixture.gather(x_0[:, None]).sum((1, 2, 3))
        return Objective(loss, {"cross_entropy": loss})

    def diagnose(
        self, network: nn.Module, batch: dict[str, Tensor], generator: Generator
    ) -> dict[str, float | bool]:
        """How the student uses its latent where all but the given tokens are masked."""
        if self.recipe is None:
            return {}
        x_0, fixed, valid = (column[:DIAGNOSED] for column in trimmed(batch))
        x_t = torch.where(valid & ~fixed, self.process.mask_state, x_0)  # type: ignore[arg-type]
        count, t = self.recipe.num_latents, torch.ones(len(x_0), device=x_0.device).double()
        latents = latent_batches(UniformLatent(), (len(x_0), count), generator=generator)
        student, _ = self.networks(network, valid)
        mixture = student(x_t[:, None].expand(-1, count, -1), t, latents.to(x_0.device))
        return latent_use(mixture, generator)

    def preview(self, network: nn.Module, run: Any, device: torch.device) -> Tensor:
        """Samples (N, D), drawn with the same noise each time."""
        count, (start, fixed) = run.reports.num_samples, self.start
        process: Any = self.process
        return ancestral(
            process,
            LanguageNetwork(network, process).denoise,
            start.to(device).expand(count, -1),
            uniform_grid(run.reports.sample_steps),
            fixed=fixed.to(device).expand(count, -1),
            latent=None if self.recipe is None else LatentPolicy(),
            generator=SampleGenerators(run.seed, range(count), "preview"),
        ).samples


def trimmed(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Data, fixed and valid tokens without the columns that are padding in all rows."""
    used = batch["valid"].any(0).nonzero()
    width = int(used[-1]) + 1 if len(used) else 1
    x_0, fixed, valid = (batch[name][:, :width] for name in ("x_0", "fixed", "valid"))
    return x_0, fixed, valid


@dataclass(frozen=True)
class OwnAssembly:
    """The parts of a run, see `full_scale.training.assemble.Assembly`."""

    objective: OwnTraining
    data: TextRows
    base: Base
    identity: dict[str, Any]


def assemble(run: OwnRun) -> OwnAssembly:
    """Open the model and the data.

    Raises:
        ValueError: If one of them is missing or they do not fit.
    """
    if not run.model:
        raise ValueError("model is missing; give --model, a name on the hub or a folder")
    base = open_base(
        run.model,
        mask_token=run.mask_token,
        trust_remote_code=run.trust_remote_code,
        dtype=getattr(torch, run.dtype),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(run.seed, 0, "weights"))
        model, process = build(base, run.adapter)
    encoder = Encoder(base.tokenizer, run.data.length, model.tokens_most)
    data = TextRows(run.data, encoder, model.num_states)
    if len(data) < run.batch_size:
        raise ValueError(
            f"data {run.data.name} has {len(data)} rows and a batch has {run.batch_size}: use a "
            "smaller --batch-size or more data"
        )
    start = encoder.prompt("", base.mask_state)
    objective = OwnTraining(
        network=model,
        config=_Text(),  # type: ignore[arg-type]
        process=process,
        recipe=None if run.recipe == "teacher" else run.di4c_recipe,
        teacher=model.frozen_copy() if needs_copy(run) else None,
        start=start,
    )
    identity = run.identity() | {"base": base.fingerprint, "data_sha256": data.sha256}
    return OwnAssembly(objective, data, base, identity)


class OwnTrainer(Trainer):
    """The training loop, with adapters in place of model files and texts in place of sheets."""

    parts: OwnAssembly  # type: ignore[assignment]

    def __init__(
        self, run: OwnRun, parts: OwnAssembly, accelerator: Accelerator, **options: Any
    ) -> None:
        super().__init__(run, parts, accelerator, **options)  # type: ignore[arg-type]
        self.previews = _Previews(parts.base.tokenizer)  # type: ignore[assignment]

    def _export(self) -> Path:
        run: Any = self.run
        if run.recipe == "teacher":
            return self._export_base(run.out / "model")
        path, state = run.out / MODEL, full_state(self.plain, self.optimizer, self.ema)
        if self.accelerator.is_main_process:
            trained = self.objective.network.trained()  # type: ignore[operator]
            kept = state["ema"] if run.weights == "averaged" else state["weights"]
            weights = {name: kept[name] for name in trained}
            about = manifest(run.seed, step=self.step, weights=run.weights)
            write_adapter(path, weights, self.parts.base, run.adapter, about)
        self.accelerator.wait_for_everyone()
        return path

    def _export_base(self, folder: Path) -> Path:
        """Write the whole model and its tokenizer, for --model of a distillation."""
        if self.accelerator.is_main_process:
            averaged = self.run.weights == "averaged"
            part = folder.with_name(folder.name + ".part")
            with self.ema.applied() if averaged else nullcontext():
                self.objective.network.whole_base().save_pretrained(part)  # type: ignore[operator]
            self.parts.base.tokenizer.save_pretrained(part)
            shutil.rmtree(folder, ignore_errors=True)
            part.rename(folder)
        self.accelerator.wait_for_everyone()
        return folder


class _Previews:
    """Writes samples as one text in each line."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def write(self, samples: Tensor, path: Path) -> Path:
        """Write samples to a file of JSON lines."""
        path = path.with_suffix(".jsonl")
        texts = self.tokenizer.batch_decode(samples.tolist(), skip_special_tokens=True)
        lines = [json.dumps({"text": text}) for text in texts]
        write_whole(path, ("\n".join(lines) + "\n").encode())
        return path
