"""One rank of a distributed training step: `python distributed_losses.py RANK STORE`.

The student is under DDP, and a HeadMixture reads its head outside of the forward pass. After
backward each rank must hold the mean of the gradients of both ranks' batches. Run by
tests/di4c/test_likelihood_head_cost.py, once for each rank.
"""

import gc
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # keeps alive the group that exists when it is imported
from torch.nn.parallel import DistributedDataParallel

from di4c.latents import uniform_log_weights
from di4c.likelihood import HeadMixture, LinearHead
from di4c.losses import Target, consistency_loss, prefetch

NUM_LATENTS, NUM_DIMS, NUM_STATES, WIDTH, RANKS = 3, 4, 6, 5, 2


class Student(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Linear(WIDTH, WIDTH)
        self.head = torch.nn.Linear(WIDTH, NUM_STATES)

    def forward(self, features):
        return self.body(features).tanh()


def loss(network, head, batch):
    features, atoms, log_law = batch
    target = Target.from_samples(atoms, log_law)
    head = LinearHead(head.weight, head.bias)
    student = HeadMixture(network(features), head, uniform_log_weights(NUM_LATENTS))
    return consistency_loss(prefetch(student, [target]), target).total.mean()


def batch_of(rank):
    generator = torch.Generator().manual_seed(100 + rank)
    features = torch.randn(2, NUM_LATENTS, NUM_DIMS, WIDTH, generator=generator)
    atoms = torch.randint(NUM_STATES, (2, 3, NUM_DIMS), generator=generator)
    log_law = torch.randn(2, NUM_DIMS, NUM_STATES, generator=generator).log_softmax(-1)
    return features.double(), atoms, log_law.double().log_softmax(-1)


def main(rank, store):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student = Student().double()
    expected = [torch.zeros_like(p) for p in student.parameters()]
    for other in range(RANKS):
        value = loss(student, student.head, batch_of(other))
        grads = torch.autograd.grad(value, list(student.parameters()))
        expected = [total + grad / RANKS for total, grad in zip(expected, grads, strict=True)]
    # Without a number of users: a store that counts them deletes its file too early.
    store = dist.FileStore(store)
    dist.init_process_group(
        "gloo", store=store, rank=rank, world_size=RANKS, timeout=timedelta(minutes=5)
    )
    check(student, batch_of(rank), expected)
    gc.collect()
    dist.destroy_process_group()
    # A thread of gloo that outlives the group may abort the interpreter when it ends.
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    assert not [name for name in threads if "gloo" in name], threads


def check(student, batch, expected):
    """Compare the gradients of two steps.

    The network ends with this function, since it would keep the group and its threads alive.
    """
    network = DistributedDataParallel(student)
    for _ in range(2):  # DDP rebuilds its buckets after the first step
        student.zero_grad()
        loss(network, student.head, batch).backward()
        for parameter, grad in zip(student.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, grad, rtol=1e-12, atol=1e-12)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
