"""The training loop. It resumes exactly, and gives the same result on any number of processes.

Everything random is a function of the seed and of an example's position in the run: the order of
the data, noise, times and latents. Dropout is a function of the position of its micro-batch. The
state of a run is its weights, their average, the state of the optimiser and the collected values
that are in no row of the log yet. A run that is stopped at any point and resumed therefore gives
the same bits on the CPU. Several processes, or several micro-batches, compute the gradient of one
large batch up to the order of sums.
"""

import math
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import AutocastKwargs
from torch import Tensor
from tqdm import tqdm

from di4c.objective import Objective
from di4c.rng import SampleGenerators, fold_seed, generator_at
from full_scale.data.order import share_of
from full_scale.evaluation.decoding import Previews
from full_scale.models.model_file import write_model
from full_scale.models.run_weights import CHECKPOINTS, MODEL
from full_scale.training.acceleration import (
    checkpoint_blocks,
    compare_precisions,
    compile_network,
)
from full_scale.training.assemble import Assembly
from full_scale.training.checkpoint import latest_checkpoint, save_checkpoint, weights_of
from full_scale.training.config import Run
from full_scale.training.ema import EMA, AveragedCopy
from full_scale.training.failure import report_failure
from full_scale.training.log import Logbook, in_bar
from full_scale.training.parallel import (
    accumulating,
    clip_gradients,
    full_state,
    regather,
    share_student,
)
from full_scale.training.reading import Batch, read_steps
from full_scale.training.signals import asked_to_stop
from full_scale.training.whole_state import restore
from reporting import manifest, write_json

PRECISION = "precision.json"


class Outcome(NamedTuple):
    """How a run ended.

    Attributes:
        step: number of steps taken in all.
        finished: whether the run took all its steps; False after SIGTERM.
        exported: file of the weights, for `full_scale.load_model`; None unless finished.
    """

    step: int
    finished: bool
    exported: Path | None


class Trainer:
    """One run in one process.

    Args:
        run: configuration.
        parts: objective, data and preset.
        accelerator: device, processes and autocast.
        progress: whether to show a progress bar.
        operations: floating-point operations of a step, to report the speed; None if unknown.
    """

    def __init__(
        self,
        run: Run,
        parts: Assembly,
        accelerator: Accelerator,
        *,
        progress: bool = True,
        operations: float | None = None,
    ) -> None:
        self.operations = operations
        self.run, self.parts, self.data, self.objective = run, parts, parts.data, parts.objective
        self.accelerator, self.progress = accelerator, progress and accelerator.is_main_process
        self.device = accelerator.device
        self.share = share_of(run.parts, accelerator.process_index, accelerator.num_processes)
        self.objective.to(self.device)
        self.plain = self.objective.network.to(self.device)
        if run.gradient_checkpointing:
            checkpoint_blocks(self.plain)
        if run.compile:
            said = compile_network(self.plain, self.objective.config, self.device)
            accelerator.print(said, file=sys.stderr)
        self.network = share_student(accelerator, self.plain, run.strategy)
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        self.optimizer = kinds[run.optimizer.name](
            [p for p in self.plain.parameters() if p.requires_grad],
            lr=run.optimizer.learning_rate,
            betas=run.optimizer.betas,
            weight_decay=run.optimizer.weight_decay,
        )
        trained = {n: p for n, p in self.plain.named_parameters() if p.requires_grad}
        self.ema = EMA(trained, run.optimizer.ema_decay)
        send = accelerator.log if run.reports.track else None
        self.logbook = Logbook(run.out, send=send, writes=accelerator.is_main_process)
        self.previews = Previews(self.objective.config, run.reports.decoder)
        self.average = AveragedCopy(self.plain, self.ema) if run.target == "average" else None
        if self.average is not None:
            self.objective.target = self.average.network
        self.step = 0
        self.resume()

    def resume(self) -> None:
        """Continue from the newest checkpoint in the folder, if there is one."""
        path = latest_checkpoint(self.run.out / CHECKPOINTS)
        if path is None:
            self.logbook.resume(0, {})  # drops rows that a killed run left
            return
        checkpoint = restore(path, self.plain, self.optimizer, self.ema)
        self.step = checkpoint.step
        if self.average is not None:
            self.average.refresh()
        self.logbook.resume(self.step, checkpoint.state["pending"])

    def save(self) -> None:
        """Write a checkpoint of the state after the current step."""
        state = full_state(self.plain, self.optimizer, self.ema)  # all processes must call this
        if self.accelerator.is_main_process:
            state["pending"] = self.logbook.state()
            config = {"run": self.run.described(), "identity": self.parts.identity}
            provenance = manifest(self.run.seed)
            folder = self.run.out / CHECKPOINTS
            keep, milestones = self.run.reports.keep, self.run.milestones
            save_checkpoint(folder, self.step, state, config, provenance, keep, milestones)
        self.accelerator.wait_for_everyone()

    def fit(self) -> Outcome:
        """Train to the last step, or until SIGTERM, and save.

        Raises:
            ValueError: If a loss term or the gradient is not finite. The last checkpoint stays,
                and the batch is written to the folder `failure`.
        """
        run, reports = self.run, self.run.reports
        if self.step >= run.steps and (run.out / MODEL).exists():
            # The file stays untouched, because students of this model record its hash.
            return Outcome(self.step, True, run.out / MODEL)
        bar = tqdm(
            total=run.steps, initial=self.step, disable=not self.progress, unit="step", leave=False
        )
        with asked_to_stop() as asked, bar:
            if self.step:  # a run may have been killed between its checkpoint and the sheet
                self._preview_if_due()
            for micro_batches in self._batches():
                if self.step == 0 and run.precision != "no":
                    self._compare_precisions(micro_batches[0])
                stop = self._advance(micro_batches, bool(asked))
                last = self.step == run.steps
                if self.step % reports.log_every == 0 or last:
                    self._log(micro_batches[-1], bar)
                due = self.step % reports.save_every == 0 or self.step in run.milestones
                if due or last or stop:
                    self.save()
                # After the checkpoint: the run can be resumed if a sheet needs too much memory.
                self._preview_if_due()
                bar.update()
                if stop and not last:
                    return Outcome(self.step, False, None)
        return Outcome(self.step, True, self._export())

    def _batches(self) -> Iterator[list[Batch]]:
        """The micro-batches of this process, step by step."""
        steps = range(self.step, self.run.steps)
        own = self.accelerator
        return read_steps(self.data, self.run, steps, own.process_index, own.num_processes)

    def _advance(self, micro_batches: list[Batch], asked: bool) -> bool:
        """Take one optimiser step. Return whether any process was asked to stop."""
        run = self.run
        for group in self.optimizer.param_groups:
            group["lr"] = run.rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        terms = [self._backward(i, batch) for i, batch in enumerate(micro_batches)]
        names = list(terms[0])
        local = torch.stack([torch.cat([part[name] for part in terms]) for name in names])
        norm = clip_gradients(self.plain.parameters(), run.optimizer.clip)
        stops = torch.full_like(local[:1], float(asked))
        together = torch.cat([local, stops]).T.contiguous()  # gather joins along the first axis
        together = self.accelerator.gather(together).T.cpu()  # type: ignore[union-attr]
        values = dict(zip(names, together, strict=False))
        if not (math.isfinite(norm) and all(bool(v.isfinite().all()) for v in values.values())):
            own = dict(zip(names, local.cpu(), strict=True))
            raise report_failure(run, self.step, self.share, micro_batches, own, values, norm)
        self.optimizer.step()
        self.step += 1
        self.ema.update(self.step)
        if self.average is not None:
            self.average.refresh()
        self.logbook.add(values | {"gradient_norm": torch.tensor([norm])})
        return bool(together[-1].any())

    def _backward(self, index: int, batch: Batch) -> dict[str, Tensor]:
        """Add the gradient of one micro-batch. Return its loss and terms, one for each example."""
        with accumulating(self.network, last=index + 1 == len(self.share)):
            found = self._loss(index, batch, self._autocast())
            (found.loss.mean() / len(self.share)).backward()
        terms = {"loss": found.loss} | found.terms
        return {name: value.detach().double() for name, value in terms.items()}

    def _loss(self, index: int, batch: Batch, precision: AbstractContextManager[None]) -> Objective:
        """Loss and terms of one micro-batch of the current step."""
        run = self.run
        part = self.step * run.parts + self.share[index]
        examples = range(part * run.micro_batch, (part + 1) * run.micro_batch)
        generator = SampleGenerators(run.seed, examples, "objective")
        # Networks draw their dropout from torch's own generator, for a whole micro-batch at once.
        torch.manual_seed(fold_seed(run.seed, part, "dropout"))
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        self.network.train()
        with precision:
            return self.objective.loss(self.network, batch, generator)

    def _compare_precisions(self, batch: Batch) -> None:
        """Record the losses of the first micro-batch in half and in full precision."""
        with torch.no_grad():
            low, full = (self._loss(0, batch, p) for p in (self._autocast(), nullcontext()))
        regather(self.network)
        if self.accelerator.is_main_process:
            found = compare_precisions(low, full)
            write_json(self.run.out / PRECISION, found)
            print(found["summary"], file=sys.stderr)

    def _autocast(self) -> AbstractContextManager[None]:
        """Autocast without its cache, so that each call casts the weights again.

        The consistency loss first calls the student without gradients. With a cache, the call that
        is trained would use the weights that were cast in the first call. These have no graph
        (torch < 2.10), or an outdated one (FSDP), and their gradients would be lost silently.
        """
        return self.accelerator.autocast(AutocastKwargs(cache_enabled=False))

    def _log(self, batch: Batch, bar: Any) -> None:
        run = self.run
        batch = {name: value.to(self.device) for name, value in batch.items()}
        generator = generator_at(run.seed, self.step, "diagnostics", self.device)
        with self._evaluating(averaged=False), torch.no_grad(), self._autocast():
            numbers = self.objective.diagnose(self.network, batch, generator)
        rate = run.rate(self.step - 1)
        row = self.logbook.row(self.step, {**numbers, "learning_rate": rate})
        on_gpu = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if on_gpu else None
        row |= self.logbook.clock(self.step, peak, run.batch_size, self.operations)
        bar.set_postfix(in_bar(row), refresh=False)

    def _preview_if_due(self) -> None:
        every = self.run.reports.sample_every
        if every and (self.step % every == 0 or self.step == self.run.steps):
            self._preview()

    def _preview(self) -> None:
        averaged = self.run.weights == "averaged"
        with self._evaluating(averaged=averaged), torch.no_grad(), self._autocast():
            samples = self.objective.preview(self.network, self.run, self.device)
        if self.accelerator.is_main_process:
            self.previews.write(samples.cpu(), self.run.out / "samples" / f"step_{self.step:08d}")

    @contextmanager
    def _evaluating(self, *, averaged: bool) -> Iterator[None]:
        self.network.eval()
        try:
            with self.ema.applied() if averaged else nullcontext():
                regather(self.network)
                yield
        finally:
            regather(self.network)
            self.network.train()

    def _export(self) -> Path:
        """Write the weights that samples have as a model file, for `full_scale.load_model`."""
        path, run = self.run.out / MODEL, self.run
        state = full_state(self.plain, self.optimizer, self.ema)
        if self.accelerator.is_main_process:
            about = {"run": run.described(), "step": self.step, "weights": run.weights}
            provenance = manifest(run.seed, **about)
            if self.data.sha256 is not None:
                provenance["data_sha256"] = self.data.sha256
            preset = self.parts.preset
            weights = weights_of(state, run.weights)
            write_model(path, self.objective.config, preset.process, weights, provenance)
        self.accelerator.wait_for_everyone()
        return path
