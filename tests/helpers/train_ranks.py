"""Start two processes (ranks) that share a training or a sampling, and what they do.

For test_train_parallel, they train a student of each kind of network, with DDP and with FSDP. Each
run is stopped and resumed once. Then they write the gradients of one step under autocast.
"""

import itertools
import os
from contextlib import contextmanager

import torch
from accelerate.state import AcceleratorState

from full_scale import sample
from full_scale.training.parallel import end_processes
from tests.helpers.forks import FORKS
from tests.helpers.ports import free_port
from tests.helpers.train_cases import KINDS, register, short_run, trainer

STRATEGIES = ("ddp", "fsdp")


@contextmanager
def started(function, *arguments):
    """Run a function in two processes. At the end of the block both must have succeeded."""
    port = free_port()
    ranks = [FORKS.Process(target=function, args=(rank, port, *arguments)) for rank in range(2)]
    for rank in ranks:
        rank.start()
    try:
        yield
        for rank in ranks:
            rank.join(timeout=600)
        codes = [rank.exitcode for rank in ranks]
        assert codes == [0, 0], f"exit codes {codes}"
    finally:
        for rank in ranks:
            rank.kill()
            rank.join()


def be_rank(rank, port):
    """Set the environment variables that torchrun sets for one of two processes."""
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
    """Train all students. Each run has the folder `folder`/PRESET/STRATEGY."""
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
    end_processes()


def draw(rank, port, arguments):
    """Draw samples as one of two processes that share the work."""
    be_rank(rank, port)
    sample.main(arguments)


def write_gradients(run):
    """Write the clipped gradients of the first step under bfloat16 autocast.

    A parameter without a gradient has None.
    """
    one = trainer(run, precision="bf16")
    one._advance(next(iter(one._batches())), False)
    found = {}
    for name, parameter in one.plain.named_parameters():
        grad = parameter.grad
        found[name] = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
    run.out.mkdir(exist_ok=True)
    torch.save(found, run.out / f"gradients_{one.accelerator.process_index}.pt")
