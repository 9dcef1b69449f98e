"""What a HeadMixture costs: memory, products, and the same losses compiled and distributed."""

import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from di4c.likelihood import FunctionHead, HeadMixture, LogitsTransform
from di4c.losses import Target, consistency_loss, data_loss, prefetch
from tests.helpers import compiled_losses, distributed_losses
from tests.helpers.head_instances import Instance, assert_equal, value_and_grads


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel())
        return found


def _losses(instance, mixture):
    consistency = Target.from_samples(instance.atoms, instance.targets[0])
    data = Target.from_samples(instance.x_0, instance.targets[1])
    mixture = prefetch(mixture, [consistency, data])
    total = consistency_loss(mixture, consistency).total + data_loss(mixture, data).total
    return total.sum()


@pytest.mark.parametrize("chunk", [1, 2])
def test_no_tensor_is_ever_as_large_as_the_logits(chunk):
    sizes = (2, 8, 16, 64, 4, 3)
    instance = Instance(9, sizes, "subs")
    batch, num_latents, num_dims, num_states = sizes[:4]
    with LargestTensor() as dense:
        torch.autograd.grad(_losses(instance, instance.dense_mixture()), instance.inputs)
    assert dense.largest == batch * num_latents * num_dims * num_states
    with LargestTensor() as ours:
        torch.autograd.grad(_losses(instance, instance.head_mixture(chunk)), instance.inputs)
    buffers, targets = 2 * chunk * num_latents * num_states, batch * num_dims * num_states
    assert ours.largest == max(buffers, targets)


def test_known_coordinates_cost_no_product():
    instance = Instance(10, (2, 3, 8, 5, 3, 2), "subs")
    rows = []

    def function(features):
        rows.append(len(features))
        return features @ instance.weight.T

    mixture = HeadMixture(
        instance.inputs[0], FunctionHead(function, 5), instance.log_weights, instance.transform
    )
    mixture.gather(instance.atoms)
    unknown = int((instance.transform.given < 0).sum())
    assert 0 < unknown < 16
    assert sum(rows) == 3 * unknown
    rows.clear()
    everything = LogitsTransform(given=torch.zeros(2, 8, dtype=torch.long))
    known = HeadMixture(mixture.hidden, mixture.head, mixture.log_weights, everything)
    assert known.gather(torch.zeros(2, 1, 8, dtype=torch.long)).abs().max() == 0
    assert rows == []


def test_statistics_that_were_not_prefetched_are_right():
    instance = Instance(11, (2, 3, 4, 5, 3, 2))
    ready = instance.head_mixture().prefetch([instance.atoms])
    assert ready.gather(instance.atoms) is ready.gather(instance.atoms)
    expected = value_and_grads(instance, instance.dense_mixture())
    assert_equal(value_and_grads(instance, ready), expected)


def test_compiled_losses_are_the_same():
    """In an interpreter of its own, without the shape checks that the tests install."""
    subprocess.run([sys.executable, compiled_losses.__file__], check=True, timeout=600)


def test_ranks_of_a_distributed_run_agree(tmp_path):
    """Two gloo ranks, one of them this process: each has the mean of both gradients."""
    store = str(tmp_path / "store")
    other = subprocess.Popen([sys.executable, distributed_losses.__file__, "1", store])
    try:
        distributed_losses.main(0, store)
        assert other.wait(timeout=600) == 0
    finally:
        other.kill()
