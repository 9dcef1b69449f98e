r"""The network of the trained methods of the benchmark.

By Bayes' rule, all that $x_t$ and t say about $x_0$ is the likelihood
$q_{t|0}(x_t^d \mid \cdot)$ of each coordinate. The network reads these likelihoods, and its output
is multiplied by them:

$$p^d(x_0^d \mid x_t; \lambda) \propto q_{t|0}(x_t^d \mid x_0^d)\; e^{f^d(x_t, \lambda)(x_0^d)}.$$

This has four consequences. The same network serves every process. Unmasked coordinates are carried
over by construction. Small times need no training. At the horizon, where the likelihood is
constant, all noisy states look the same to the network.

The latent enters late, as a gain and a shift of the last hidden layer, so L latents at one state
cost little more than one.
"""

import copy
import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from di4c.denoisers import Denoiser
from di4c.latents import FiniteLatent, GaussianLatent, LatentLaw, UniformLatent, uniform_log_weights
from di4c.likelihood import DenseMixture
from di4c.processes import ForwardProcess

WIDTH = 128
_ENCODED = 2**14  # latents to encode at once
_SPREAD = 3.0  # initial weights of the last layer, in standard deviations of torch's default


class Reading(NamedTuple):
    """The part of the network's computation that does not depend on a latent.

    Attributes:
        log_evidence: logarithm of the likelihood over the values, (B, L, D, S).
        hidden: features, (B, L, width); L = 1 if all latents share the state.
    """

    log_evidence: Tensor
    hidden: Tensor


class Backbone(nn.Module):
    """A mixture network, or a product network if the latent is None.

    Args:
        process: forward process.
        num_dims: D.
        latent: law of the latent; None for a product model.
        width: units of the hidden layers.
    """

    def __init__(
        self,
        process: ForwardProcess,
        num_dims: int,
        latent: LatentLaw | None = None,
        width: int = WIDTH,
    ) -> None:
        super().__init__()
        self.process = process
        self.num_dims = num_dims
        size = num_dims * process.num_values
        self.trunk = nn.Sequential(nn.Linear(size, width), nn.GELU(), nn.Linear(width, width))
        self.encoder = None if latent is None else latent_encoder(latent, 2 * width)
        self.head = nn.Linear(width, size)
        if latent is not None:
            # Let the components start far apart. For laws such as parity, in which only many
            # coordinates together are correlated, the loss is flat around equal components.
            nn.init.normal_(self.head.weight, std=_SPREAD / math.sqrt(3 * width))

    def forward(
        self,
        x_t: Int[Tensor, "batch latent dim"],
        t: Float[Tensor, "batch"],
        latents: Tensor | None,
    ) -> DenseMixture:
        """The mixture at x_t, see `di4c.denoisers.MixtureNetwork`."""
        reading = self.read(x_t[:, :1] if x_t.stride(1) == 0 else x_t, t)
        log_probs = self.answer(reading, latents).expand(*x_t.shape, -1)
        weights = uniform_log_weights(x_t.shape[1], x_t.device)
        return DenseMixture(log_probs, weights, validate=False)

    def read(self, x_t: Int[Tensor, "batch latent dim"], t: Float[Tensor, "batch"]) -> Reading:
        """Likelihood and hidden features of noisy states, before any latent."""
        evidence = self.evidence(x_t, t)
        return Reading(evidence.log(), self.trunk(evidence.flatten(-2)))

    def answer(
        self, reading: Reading, latents: Tensor | None
    ) -> Float[Tensor, "batch latent dim value"]:
        """Log-probabilities of each coordinate of x_0, given a reading and latents."""
        log_evidence, hidden = reading
        if self.encoder is not None:
            # If all examples share the same latents, encode them once.
            shared = latents[:1] if latents.stride(0) == 0 else latents
            gain, shift = self.encoder(shared).chunk(2, -1)
            hidden = torch.addcmul(shift, hidden, 1 + gain)
        logits = self.head(nn.functional.gelu(hidden)).unflatten(-1, log_evidence.shape[-2:])
        return (logits + log_evidence).log_softmax(-1)

    def evidence(
        self, x_t: Int[Tensor, "batch latent dim"], t: Float[Tensor, "batch"]
    ) -> Float[Tensor, "batch latent dim value"]:
        """The likelihood over the values, normalised; constant if x_t is impossible for all."""
        num_values = self.process.num_values
        likelihood = self.process.likelihood(x_t, 0.0, t)[..., :num_values]
        total = likelihood.sum(-1, keepdim=True)
        flat = torch.where(total > 0, likelihood / total.where(total > 0, 1.0), 1 / num_values)
        return flat.to(self.head.weight)

    def denoiser(
        self, x_t: Int[Tensor, "batch dim"], t: Float[Tensor, "batch"], latent: Tensor | None = None
    ) -> Float[Tensor, "batch dim value"]:
        """The network as a `di4c.denoisers.Denoiser`: one latent for each row."""
        return self.repeated_denoiser()(x_t, t, latent)

    def repeated_denoiser(self) -> Denoiser:
        """A denoiser for many calls with the same states: it reads the states in the first only."""
        last: tuple[Tensor, Tensor, Reading] | None = None

        def denoiser(x_t: Tensor, t: Tensor, latent: Tensor | None = None) -> Tensor:
            nonlocal last
            if last is None or last[0] is not x_t or last[1] is not t:
                last = x_t, t, self.read(x_t[:, None], t)
            return self.answer(last[2], None if latent is None else latent[:, None])[:, 0]

        return denoiser

    def tabulated(self, latents: Tensor) -> "Backbone":
        """A copy that takes indices of these latents instead; each latent is encoded only once."""
        network = copy.copy(self)
        network._modules = dict(self._modules)
        codes = [self.encoder(part).detach() for part in latents.split(_ENCODED)]
        network.encoder = nn.Embedding.from_pretrained(torch.cat(codes))
        return network

    @property
    def num_parameters(self) -> int:
        """Trainable numbers."""
        return sum(p.numel() for p in self.parameters())


class Sinusoids(nn.Module):
    r"""Sines and cosines of $1000 \lambda$ at geometric frequencies, the paper's encoding.

    Args:
        num_features: length of the encoding of one number, even.
    """

    def __init__(self, num_features: int = 128) -> None:
        super().__init__()
        count = num_features // 2
        powers = -math.log(10_000) * torch.arange(count) / count
        self.register_buffer("frequencies", 1000 * powers.exp(), persistent=False)

    def forward(self, latent: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch feature"]:
        """One feature vector for each number."""
        angles = latent[..., None] * self.frequencies
        return torch.cat([angles.sin(), angles.cos()], -1)


def latent_encoder(law: LatentLaw, num_features: int) -> nn.Module:
    """A network from latents (..., *latent_shape) to features (..., num_features).

    Categories are looked up in a table. A scalar is encoded by sinusoids, a vector of uniforms
    (noise for each position) by sinusoids for each entry, and a Gaussian is taken as it is. All but
    the table are followed by one hidden layer.

    Raises:
        ValueError: If there is no encoder for this law.
    """
    if isinstance(law, FiniteLatent):
        table = nn.Embedding(len(law.support), num_features)
        nn.init.normal_(table.weight)
        return table
    if isinstance(law, UniformLatent):
        if not law.shape:
            return nn.Sequential(Sinusoids(128), *_layers(128, num_features))
        size = 32 * law.shape[0]
        return nn.Sequential(Sinusoids(32), nn.Flatten(-2), *_layers(size, num_features))
    if isinstance(law, GaussianLatent):
        return nn.Sequential(*_layers(law.shape[0], num_features))
    raise ValueError(
        f"latent must be categories (FiniteLatent), UniformLatent or GaussianLatent; got "
        f"{type(law).__name__}"
    )


def _layers(num_inputs: int, num_features: int) -> tuple[nn.Module, ...]:
    return nn.Linear(num_inputs, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, num_features)
