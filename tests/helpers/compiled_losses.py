"""Compile a training step and compare its value and gradients with those of the eager step.

`python compiled_losses.py [BACKEND ...]`, by default with the backend aot_eager, which traces the
forward and the backward pass. Run by tests/di4c/test_likelihood_head_cost.py.
"""

import sys

import torch

from di4c.latents import uniform_log_weights
from di4c.likelihood import DenseMixture, HeadMixture, LinearHead, LogitsTransform
from di4c.losses import Target, consistency_loss, data_loss, distillation_loss, prefetch

BATCH, NUM_LATENTS, NUM_DIMS, NUM_STATES, WIDTH = 2, 3, 4, 6, 5


def losses(student, atoms, x_0, log_law, log_teacher):
    consistency = Target.from_samples(atoms, log_law)
    data = Target.from_samples(x_0, log_teacher)
    student = prefetch(student, [consistency, data], [log_teacher])
    total = consistency_loss(student, consistency).total + data_loss(student, data).total
    return (total + distillation_loss(student, log_teacher)).sum()


def through_head(features, weight, bias, given, *targets):
    hidden = torch.nn.functional.gelu(features)
    transform = LogitsTransform(excluded_states=(NUM_STATES - 1,), given=given)
    head = LinearHead(weight, bias)
    student = HeadMixture(hidden, head, uniform_log_weights(NUM_LATENTS), transform)
    return losses(student, *targets)


def through_tensor(features, weight, bias, given, *targets):
    logits = torch.nn.functional.gelu(features) @ weight.T + bias
    transform = LogitsTransform(excluded_states=(NUM_STATES - 1,), given=given)
    student = DenseMixture.from_logits(logits, uniform_log_weights(NUM_LATENTS), transform)
    return losses(student, *targets)


def main():
    torch.manual_seed(0)
    features = torch.randn(BATCH, NUM_LATENTS, NUM_DIMS, WIDTH, dtype=torch.float64)
    weight, bias = torch.randn(NUM_STATES, WIDTH).double(), torch.randn(NUM_STATES).double()
    inputs = [x.requires_grad_() for x in (features, weight, bias)]
    given = torch.tensor([[-1, 2, -1, -1], [0, -1, -1, 1]])
    transform = LogitsTransform(excluded_states=(NUM_STATES - 1,), given=given)
    logits = torch.randn(2, BATCH, 1, NUM_DIMS, NUM_STATES, dtype=torch.float64)
    laws = [transform.log_probs(z)[:, 0] for z in logits]
    atoms = torch.randint(NUM_STATES - 1, (BATCH, 7, NUM_DIMS))
    atoms = torch.where(given[:, None] < 0, atoms, given[:, None])
    arguments = (given, atoms, atoms[:, :1].clone(), *laws)
    through_head(*inputs, *arguments)
    assert "torch._dynamo" not in sys.modules, "losses that are not compiled load no compiler"
    for step in (through_head, through_tensor):
        value = step(*inputs, *arguments)
        grads = torch.autograd.grad(value, inputs)
        for backend in sys.argv[1:] or ("aot_eager",):
            # The dense step is one graph. The step through the head breaks once, at the sweep.
            compiled = torch.compile(step, backend=backend, fullgraph=step is through_tensor)
            for _ in range(2):  # the second call reuses the graph
                found = compiled(*inputs, *arguments)
                torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)
                for ours, theirs in zip(torch.autograd.grad(found, inputs), grads, strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


if __name__ == "__main__":
    main()
