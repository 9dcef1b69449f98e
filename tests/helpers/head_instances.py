"""Random mixtures from hidden states and the dense mixtures that they must equal."""

import torch
from hypothesis import strategies as st

from di4c.likelihood import DenseMixture, HeadMixture, LinearHead, LogitsTransform

STATISTICS = ("gathered", "marginal_kl", "mean_latent_kl")


TRANSFORMS = ("none", "soft cap", "excluded", "subs", "subs, capped", "given by latent")


class Instance:
    """Random features, a random head, and random arguments for every statistic."""

    def __init__(self, seed, sizes, transform="none", bias=True, dtype=torch.float64, scale=1.0):
        self.generator = torch.Generator().manual_seed(seed)
        batch, num_latents, num_dims, num_states, num_features, num_atoms = sizes
        self.hidden = self.randn(batch, num_latents, num_dims, num_features, dtype=dtype)
        self.weight = scale * self.randn(num_states, num_features, dtype=dtype)
        self.bias = self.randn(num_states, dtype=dtype) if bias else None
        self.inputs = [x for x in (self.hidden, self.weight, self.bias) if x is not None]
        self.inputs = [x.detach().requires_grad_() for x in self.inputs]
        self.log_weights = self.randn(num_latents).log_softmax(-1)
        self.transform = self._transform(transform, sizes)
        laws = self.randn(3, batch, 1, num_dims, num_states)
        shared = LogitsTransform(None, self.transform.excluded_states, self._given_to_all())
        self.targets = [shared.log_probs(law)[:, 0] for law in laws]
        self.atoms = torch.randint(
            num_states, (batch, num_atoms, num_dims), generator=self.generator
        )
        self.x_0 = torch.randint(num_states, (batch, 1, num_dims), generator=self.generator)

    def randn(self, *shape, dtype=torch.float64):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(dtype)

    def _transform(self, name, sizes):
        batch, num_latents, num_dims, num_states = sizes[:4]
        mask = num_states - 1
        x_t = torch.randint(num_states, (batch, num_dims), generator=self.generator)
        x_t = x_t.where(torch.rand(x_t.shape, generator=self.generator) < 0.4, mask)
        each = torch.randint(
            -1, num_states, (batch, num_latents, num_dims), generator=self.generator
        )
        each = each.where(torch.rand(each.shape, generator=self.generator) < 0.5, -1)
        return {
            "none": LogitsTransform(),
            "soft cap": LogitsTransform(soft_cap=1.5),
            "excluded": LogitsTransform(excluded_states=(0, mask)[: num_states - 1]),
            "subs": LogitsTransform.subs(x_t, mask),
            "subs, capped": LogitsTransform.subs(x_t, mask, soft_cap=2.0),
            "given by latent": LogitsTransform(given=each),
        }[name]

    def _given_to_all(self):
        given = self.transform.given
        return given if given is None or given.ndim == 2 else None

    def head_mixture(self, chunk=None):
        head = LinearHead(*self.inputs[1:])
        return HeadMixture(self.inputs[0], head, self.log_weights, self.transform, chunk)

    def dense_mixture(self):
        hidden, weight, *bias = (x.double() for x in self.inputs)
        logits = hidden @ weight.T + (bias[0] if bias else 0)
        return DenseMixture.from_logits(logits, self.log_weights, self.transform)

    def statistics(self, mixture):
        """Gathered (B, L, D, N + 1), two marginal KLs (2, B), two mean latent KLs (2, B)."""
        return (
            torch.cat([mixture.gather(self.atoms), mixture.gather(self.x_0)], -1),
            torch.stack([mixture.marginal_kl(target) for target in self.targets[:2]]),
            torch.stack([mixture.mean_latent_kl(target) for target in self.targets[1:]]),
        )

    def prefetched(self, mixture):
        return mixture.prefetch([self.atoms, self.x_0], self.targets[:2], self.targets[1:])


def value_and_grads(instance, mixture, names=STATISTICS):
    """Statistics, and the gradients of a random linear function of the finite ones."""
    found = dict(zip(STATISTICS, instance.statistics(mixture), strict=True))
    found = {name: found[name].double() for name in names}
    generator = torch.Generator().manual_seed(7)
    total = torch.zeros((), dtype=torch.float64)
    for values in found.values():
        factors = torch.randn(values.shape, generator=generator, dtype=torch.float64)
        total = total + (factors * values).where(values.isfinite(), 0).sum()
    grads = torch.autograd.grad(total, instance.inputs, allow_unused=True)
    return found, grads


def assert_equal(found, expected, rtol=1e-12, atol=1e-12):
    for name, values in expected[0].items():
        torch.testing.assert_close(found[0][name], values, rtol=rtol, atol=atol)
    for ours, theirs in zip(found[1], expected[1], strict=True):
        assert ours.dtype == theirs.dtype
        torch.testing.assert_close(ours, theirs, rtol=rtol, atol=atol)


SIZES = st.tuples(
    st.integers(1, 3),  # batch
    st.integers(1, 4),  # latents
    st.integers(1, 5),  # dimensions
    st.integers(2, 7),  # states
    st.integers(1, 4),  # features
    st.integers(1, 4),  # atoms
)
