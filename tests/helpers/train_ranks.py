"""One of two ranks of test_train_parallel, a process of its own.

The two ranks train a student of each kind of network, as copies and as shards of its weights. Each
run is stopped and resumed once. Then they write the gradients of one step under autocast.
"""

import itertools
import os

import torch
from accelerate.state import AcceleratorState

from full_scale import sample
from tests.helpers.train_cases import KINDS, register, short_run, trainer

STRATEGIES = ("ddp", "fsdp")


def be_rank(rank, port):
    """Make this process one of two, as torchrun does."""
    torch.set_num_threads(1)
    register()
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def train(rank, port, folder):
    """Train all students; a run is folder/PRESET/STRATEGY."""
    be_rank(rank, port)
    for preset, strategy in itertools.product(KINDS, STRATEGIES):
        here = folder / preset
        for steps in (2, 3):  # the second one resumes the first
            run = short_run(here, preset, out=here / strategy, strategy=strategy, steps=steps)
            trainer(run, torch.float64).fit()
    AcceleratorState._reset_state()  # accelerate keeps the first precision of a process
    for preset, strategy in itertools.product(KINDS, STRATEGIES):
        here = folder / preset
        write_gradients(short_run(here, preset, out=here / f"bf16-{strategy}", strategy=strategy))
    torch.distributed.destroy_process_group()


def draw(rank, port, arguments):
    """Sample, as a process that shares the work with another one."""
    be_rank(rank, port)
    sample.main(arguments)


def write_gradients(run):
    """Gradients of the first step under bfloat16 autocast, clipped; None where there is none."""
    one = trainer(run, precision="bf16")
    one._advance(next(iter(one._batches())), False)
    found = {}
    for name, parameter in one.plain.named_parameters():
        grad = parameter.grad
        found[name] = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
    run.out.mkdir(exist_ok=True)
    torch.save(found, run.out / f"gradients_{one.accelerator.process_index}.pt")
