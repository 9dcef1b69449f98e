"""The two processes (ranks) of test_train_own."""

import os

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from full_scale.train import train
from full_scale.training import own
from full_scale.training.parallel import end_processes


def rank_of_two(rank, port, run, file):
    """Take the first step as one of two processes, and write the gradients."""
    _join(rank, port)
    found = gradients(run)
    if rank == 0:
        torch.save(found, file)
    end_processes()


def refused_rank(rank, port, run, file):
    """Train as one of two processes, and write the error."""
    _join(rank, port)
    try:
        train(run, progress=False)
    except ValueError as error:
        file.with_suffix(f".{rank}").write_text(str(error))
    end_processes()


def _join(rank, port):
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def gradients(run):
    """The gradients of the first step."""
    AcceleratorState._reset_state()
    parts = own.assemble(run)
    trainer = own.OwnTrainer(run, parts, Accelerator(cpu=True), progress=False)
    trainer._advance(next(iter(trainer._batches())), False)
    grads = {name: p.grad for name, p in trainer.plain.named_parameters() if p.requires_grad}
    return {n: g.full_tensor() if hasattr(g, "full_tensor") else g for n, g in grads.items()}
