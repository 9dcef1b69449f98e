"""Train a teacher or a Di4C student.

    python -m full_scale.train digits-teacher               a teacher; minutes on two CPU cores
    python -m full_scale.train digits                       the student of that teacher
    python -m full_scale.train cifar10 --teacher tauldr.safetensors --data.folder cifar10
    python -m full_scale.train own --model answerdotai/ModernBERT-base --data texts.jsonl
    accelerate launch --num-processes 2 -m full_scale.train imagenet --teacher maskgit.safetensors
    torchrun --nproc-per-node 2 -m full_scale.train openwebtext --teacher sdtt.safetensors

`python -m full_scale.train EXPERIMENT --help` lists the options of an experiment and says what to
expect of it. --dry-run prints the configuration, the numbers of parameters, estimates of memory and
hours, and what is still missing; it needs neither data nor teacher. The same command again resumes
a run exactly, from its newest checkpoint. SIGTERM makes a run save and stop.
If one of several processes is lost, the others end with status 75, and the same command resumes.
The folder of a run holds

    run.json            configuration, code version, seed and hardware
    checkpoints/        the newest states of the training, and the --milestones
    log.jsonl           loss terms, norm of the gradient, how the student uses its latent
    clock.jsonl         seconds per step, examples and operations per second, memory
    samples/            sheets of samples
    model.safetensors   averaged or raw weights (see --weights), for full_scale.sample
    failure/            batches whose loss was not finite
"""

import contextlib
import inspect
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import torch
import tyro
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from full_scale.data.order import share_of
from full_scale.models.run_weights import CHECKPOINTS
from full_scale.training import own, own_cost
from full_scale.training.assemble import assemble
from full_scale.training.checkpoint import latest_checkpoint
from full_scale.training.config import Run, as_json
from full_scale.training.cost import free_memory, outline, require_fits
from full_scale.training.dry_run import describe
from full_scale.training.experiments import EXPERIMENTS
from full_scale.training.log import require_tracker, start_tracker
from full_scale.training.own_run import OwnRun
from full_scale.training.parallel import LostProcess, end_processes, naming_lost_process
from full_scale.training.trainer import Outcome, Trainer
from reporting import manifest, only_writer, run_script, write_json
from reporting.files import require_writable
from reporting.locks import LOCK
from reporting.typed import read_as

RECORD = "run.json"


class Parts(NamedTuple):
    """How the parts of a kind of run are made.

    Attributes:
        outline: what it costs.
        assemble: its network, loss and data.
        trainer: its loop.
    """

    outline: Callable[[Any], Any]
    assemble: Callable[[Any], Any]
    trainer: Callable[..., Trainer]


OWN = {
    "own": (
        """A student of a masked language model of your own, of the Hugging Face kind.

        With LoRA, one copy of the weights is teacher and student. docs/own_model.md has a complete
        example that runs on a CPU.""",
        OwnRun(),
    )
}
RUNS: dict[str, tuple[str, Run]] = EXPERIMENTS | OWN
"""What to expect of each run that a command line can name, and the run."""
LOST = 75
"""Exit status of a process whose fellow was lost: EX_TEMPFAIL, the same command resumes the run."""


def main(argv: list[str] | None = None) -> int | None:
    """Train, or print what would be trained. The status is 75 if another process was lost."""
    run = parse(argv)
    try:
        outcome = train(run)
    except LostProcess as error:
        print("error:", error, file=sys.stderr)
        return LOST
    end_processes()
    if outcome is None:
        return None
    if outcome.finished:
        _say(f"{outcome.step} steps done; model in {outcome.exported}")
    else:
        _say(f"stopped after step {outcome.step} as asked; the same command resumes it")
    return None


def parse(argv: list[str] | None = None) -> Run:
    """The run that a command line describes.

    Raises:
        ValueError: If the command line is wrong, in one line.
    """
    experiments = tyro.extras.subcommand_type_from_defaults(
        {name: run for name, (_, run) in RUNS.items()},
        {name: inspect.cleandoc(text) for name, (text, _) in RUNS.items()},
    )
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return tyro.cli(
                experiments,
                prog="python -m full_scale.train",
                description=__doc__,
                args=argv,
                config=(tyro.conf.SuppressFixed,),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ValueError(f"{_one_line(errors.getvalue())}; see --help") from None


def train(run: Run, *, progress: bool = True) -> Outcome | None:
    """Train a run to its end, from its newest checkpoint if there is one.

    Args:
        run: configuration.
        progress: whether to show a progress bar.

    Returns:
        How the run ended; None for a dry run.

    Raises:
        ValueError: If teacher, data, folder or memory do not fit the run, or if its loss is not
            finite. Nothing is overwritten.
    """
    kind = Parts(outline, assemble, Trainer)
    if isinstance(run, OwnRun):
        kind = Parts(own_cost.outline, own.assemble, own.OwnTrainer)
    plan, world = kind.outline(run), int(os.environ.get("WORLD_SIZE", "1"))
    share_of(run.parts, 0, world)  # checked before the folder is created
    if run.dry_run:
        if _is_first():
            describe(plan, world, kind.assemble)
        return None
    require_tracker(track := run.reports.track)
    AcceleratorState._reset_state()  # or it would keep the precision of an earlier run
    accelerator = Accelerator(
        cpu=run.device == "cpu", mixed_precision=run.precision, log_with=track, project_dir=run.out
    )
    require_writable(run.out / RECORD)  # before the teacher draws samples, which takes minutes
    refuse_other_files(run.out)
    parts = kind.assemble(run)
    processes = accelerator.num_processes
    if run.check_memory:
        estimate = plan.estimate(processes, parts.data.num_dims)
        require_fits(estimate, free_memory(accelerator.device))
    first = accelerator.is_main_process
    with only_writer(run.out) if first else contextlib.nullcontext(), naming_lost_process():
        if first:
            claim_folder(run.out, parts.identity, as_json(run), run.seed)
        accelerator.wait_for_everyone()
        try:
            if track is not None:
                start_tracker(accelerator, track, run.out.name, as_json(run))
            operations = plan.operations()
            options = {"progress": progress, "operations": operations}
            return kind.trainer(run, parts, accelerator, **options).fit()
        except torch.OutOfMemoryError as error:
            raise ValueError(
                f"out of memory on {accelerator.device} ({str(error).split('.')[0]}); the estimate "
                f"was {plan.estimate(processes, parts.data.num_dims)}: use a smaller --micro-batch "
                "or fewer --num-latents"
            ) from None
        finally:
            for tracker in accelerator.trackers:
                tracker.finish()


class _RunRecord(TypedDict):
    """Content of run.json."""

    identity: dict[str, Any]
    run: dict[str, Any]
    manifest: dict[str, Any]


def claim_folder(
    folder: Path, identity: dict[str, Any], configuration: dict[str, Any], seed: int
) -> None:
    """Create the run folder, or check that it belongs to this configuration.

    A run that never reached a checkpoint is replaced: it may have been too large for the memory.

    Args:
        folder: folder of the run.
        identity: everything that the result depends on.
        configuration: all options of the run.
        seed: seed of the run.

    Raises:
        ValueError: If the folder holds another run (the message says what differs), or other files.
    """
    record = folder / RECORD
    if record.exists():
        other = read_as(record, _RunRecord, "give another --out")["identity"]
        identity = json.loads(json.dumps(identity))
        differing = [
            f"{name} is {_short(identity.get(name))} here and {_short(other.get(name))} there"
            for name in sorted(identity.keys() | other.keys())
            if identity.get(name) != other.get(name)
        ]
        if differing and latest_checkpoint(folder / CHECKPOINTS) is not None:
            raise ValueError(
                f"out is {folder}, which holds another run: {'; '.join(differing)}. Give the same "
                "options to resume it, or another --out"
            )
        if not differing:
            return
    refuse_other_files(folder)
    write_json(record, {"identity": identity, "run": configuration, "manifest": manifest(seed)})


def refuse_other_files(folder: Path) -> None:
    """Raise a ValueError if a folder holds files and no run."""
    others = sorted(path.name for path in folder.glob("*") if not _passing(path.name))
    if others and not (folder / RECORD).exists():
        raise ValueError(
            f"out is {folder}, which is not empty ({', '.join(others[:3])}) and holds no run; give "
            "another --out"
        )


def _passing(name: str) -> bool:
    """Whether a file is our lock, or what a process left that was killed as it wrote the record."""
    return name == LOCK or (name.startswith(f".{RECORD}.") and name.endswith(".tmp"))


def _one_line(box: str) -> str:
    """The message of a tyro error as one line. Tyro draws a box, and has no option against it.

    The message stands between the first two rules, which are drawn in ASCII where the output is.
    """
    lines = [line.strip("\u2502 ") for line in re.sub(r"\x1b\[[0-9;]*m", "", box).splitlines()]
    rules = [i for i, line in enumerate(lines) if "\u2500" in line or {*line} == {"-"}]
    first, last = (*rules, len(lines), len(lines))[:2]
    text = " ".join(lines[first + 1 : last]).strip().rstrip(".")
    text = re.sub(r"^Error parsing (?!--)[\w.-]+: ", "", text)  # the name of a class
    return text.removeprefix("Error parsing ") or "the command line is wrong"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _say(text: str) -> None:
    if _is_first():
        print(text, file=sys.stderr)


def _is_first() -> bool:
    """Whether this is the first process of its group, as torchrun and accelerate number them."""
    return os.environ.get("RANK", "0") == "0"


if __name__ == "__main__":
    run_script(main)
