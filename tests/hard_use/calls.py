"""Wrong command lines and wrong calls of the library: each is refused in one line.

A command ends with status 2 and one line on standard error that begins with "error: ". A call of
the library raises a ValueError or a TypeError of one line that names the argument.
"""

import contextlib
import importlib
import io
import os
import runpy
import shlex
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import di4c
from reporting import ROOT, run_script
from tests.hard_use import wrong_commands
from tests.hard_use.formats import FORMATS
from tests.hard_use.wrong_calls import CALLS
from tests.helpers.tiny_models import MASKGIT, UNET, VQGAN, save_model

_MODULES = (
    "di4c",
    "di4c.diagnostics",
    "di4c.exact.pairs",
    "di4c.processes",
    "di4c.sampling_loop",
    "di4c.schedules",
    "di4c.teacher_steps",
    "full_scale.data",
    "full_scale.evaluation",
    "full_scale.evaluation.frechet",
    "full_scale.models",
    "full_scale.models.presets",
)


def run(seed: int, share: float) -> Iterator[dict[str, Any]]:
    """Try all commands and calls; see `tests.hard_use`."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        names = examples(Path(place))
        commands = [*command_lines(names)]
        found = [(line, refused(line)) for line in tqdm(commands, disable=None)]
        found += [(call, refused_call(call, named)) for call, named in CALLS]
    failures = [f"{what}: {problem}" for what, problem in found if problem]
    scripts = Counter(line.split()[0] for line in commands)
    yield {
        "commands": len(commands),
        "commands_by_script": dict(scripts),
        "library_calls": len(CALLS),
        "failures": failures,
    }


def examples(folder: Path) -> dict[str, str]:
    """Write the files that the tables name. Return their names by the words in braces."""
    for name, config in {"model": UNET, "codes": MASKGIT, "vqgan": VQGAN}.items():
        save_model(folder / f"{name}.safetensors", config)
    (folder / "samples").mkdir()
    FORMATS["samples"].make(folder / "samples")
    np.save(folder / "law.npy", np.full((3, 3), 1 / 9))
    (folder / "folder").mkdir()
    (folder / "folder-with-files").mkdir()
    (folder / "folder-with-files" / "a").write_text("mine")
    (folder / "pictures" / "one").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "pictures" / "one" / "a.png")
    (folder / "empty").write_bytes(b"")
    (folder / "text.txt").write_text("a text\n")
    (folder / "link-to-itself").symlink_to("link-to-itself")
    (folder / "zeros").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe")
    files = {name: f"{name}.safetensors" for name in ("model", "codes", "vqgan")}
    return files | {"samples": "samples", "law": "law.npy", "pictures": "pictures"}


def command_lines(names: dict[str, str]) -> Iterator[str]:
    """All command lines of the tables. Each gets a name of its own for {new}."""
    count = 0
    for table, word, values in (
        (wrong_commands.READS, "path", wrong_commands.PATHS),
        (wrong_commands.WRITES, "bad", wrong_commands.UNWRITABLE),
        (wrong_commands.VALUES, "path", ("",)),
    ):
        for line in table.strip().splitlines():
            for value in values:
                count += 1
                known = names | {"new": f"new-{count}", word: value.format(**names)}
                yield line.format(**known)


def refused(line: str) -> str | None:
    """What is wrong with the way in which a command is refused; None if nothing is."""
    program, *words = shlex.split(line)
    if program.endswith(".py"):
        main = runpy.run_path(str(ROOT / program))["main"]
    else:
        package = importlib.util.find_spec(f"{program}.__main__") if _is_package(program) else None
        main = importlib.import_module(package.name if package else program).main
    said = io.StringIO()
    with (
        warnings.catch_warnings(action="ignore"),
        mock.patch.object(sys, "argv", [program, *words]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
    ):
        try:
            run_script(lambda: main(words) if main.__code__.co_argcount else main())
        except SystemExit as stop:
            status = stop.code
        except BaseException:
            return traceback.format_exc().strip().splitlines()[-1][:200]
    lines = [text for text in said.getvalue().splitlines() if "it/s]" not in text]
    if status != 2:
        return f"status {status}"
    if len(lines) != 1 or not lines[0].startswith("error: "):
        return f"{len(lines)} lines: {' / '.join(lines)[:200]}"
    return None


def _is_package(program: str) -> bool:
    return (ROOT / program.replace(".", "/")).is_dir()


def refused_call(call: str, named: str) -> str | None:
    """What is wrong with the way in which a call of the library is refused; None if nothing is."""
    try:
        eval(call, _known())
    except (TypeError, ValueError) as error:
        text = str(error)
        if named not in text or "\n" in text:
            return f"does not name {named} in one line: {text[:150]}"
        return None
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "is accepted"


def _known() -> dict[str, Any]:
    """The names of the table."""

    def denoiser(x_t: torch.Tensor, t: torch.Tensor, latent: object = None) -> torch.Tensor:
        return torch.full((*x_t.shape, 3), 1 / 3, dtype=torch.float64).log()

    known: dict[str, Any] = {}
    for module in _MODULES:
        known |= vars(importlib.import_module(module))
    masked, law = di4c.MaskedProcess(3), torch.full((9,), 1 / 9, dtype=torch.float64)
    even = torch.full((2, 16, 2, 3), 1 / 3, dtype=torch.float64).log()
    table = di4c.TableDenoiser(even, 4)
    known["diagnostics"] = importlib.import_module("di4c.diagnostics")

    def recipe(**changes: Any) -> di4c.Recipe:
        return replace(di4c.OPENWEBTEXT, **changes)

    def objective(**changes: Any) -> di4c.Di4CObjective:
        parts = {"student": di4c.as_mixture(denoiser), "teacher": di4c.as_mixture(denoiser)}
        parts |= {"recipe": recipe(num_latents=2)}
        return di4c.Di4CObjective(di4c.UniformProcess(3), **parts | changes)

    return known | {
        "denoiser": denoiser,
        "exact_denoiser": di4c.ExactDenoiser(masked, law),
        "law": law,
        "masked": masked,
        "objective": objective,
        "recipe": recipe,
        "table": table,
        "bits": di4c.DenseMixture(torch.full((1, 1, 1, 2), 0.5).log(), torch.zeros(1)),
        "moments": lambda count: known["FeatureMoments"].of(torch.ones(count, 2)),
        "nan": float("nan"),
        "rates": di4c.two_state_process(0.5, 1.5),
        "start": torch.full((4, 2), masked.mask_state),
        "thirds": torch.full((4, 2, 3), 1 / 3),
        "torch": torch,
        "t": lambda values: torch.tensor(values, dtype=torch.float64),
        "uniform": known["UniformProcess"](3),
    }
