"""Random draws. Every function takes a generator and draws in float64.

A generator is a torch.Generator, None for torch's default one, or `SampleGenerators`.
`SampleGenerators` hold one stream for each sample, so that sample i is the same for every batch
size and every number of devices.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_device, require_type

_CHUNK_NUMBERS = 2**22  # numbers in a chunk of cumulative sums: 32 MiB of float64
_WORD = 2**32

# MDLM adds this number twice in its exponential race, which biases a draw by 1e-10. It is kept to
# reproduce the runs of MDLM.
_RACE_GUARD = 1e-10


def fold_seed(seed: int, position: int, purpose: str) -> int:
    """A seed for one purpose at one position of a run, such as a sample number or a training step.

    The CPU generator of torch reads only the low 32 bits of a seed. With a plain hash, two of
    50,000 samples would have the same stream in one run out of four. Here the low 32 bits are a
    bijection of the position, so that two positions of one (seed, purpose) never share a stream.
    Two seeds usually share none of the streams of n positions. About one of 2^32 / n pairs of seeds
    shares all of them, in another order.

    Args:
        seed: seed of the run, any integer.
        position: 0 <= position < 2^32.
        purpose: what is drawn, e.g. "latent". Different purposes have different streams.

    Raises:
        ValueError: If the position is out of range, or a number is not whole.
    """
    check_count("seed", seed, None)
    check_count("position", position, 0, "count from 0", most=_WORD - 1)
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    high, low = divmod(int.from_bytes(digest, "big"), _WORD)
    return high * _WORD + _scramble(position ^ low)


def _scramble(word: int) -> int:
    """A bijection of 32-bit words that mixes all bits, the finaliser of MurmurHash3."""
    word = (word ^ word >> 16) * 0x85EBCA6B % _WORD
    word = (word ^ word >> 13) * 0xC2B2AE35 % _WORD
    return word ^ word >> 16


def generator_at(
    seed: int, position: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator seeded by `fold_seed`.

    The seed depends on the position only, so a resumed run draws the same numbers as a run without
    interruption.
    """
    check_device("device", device)
    return torch.Generator(device).manual_seed(fold_seed(seed, position, purpose))


class SampleGenerators:
    """One generator for each sample of a batch. The first axis of every draw is the batch.

    Numbers are drawn on the CPU and then moved, so they do not depend on the device.

    Args:
        seed: seed of the run.
        positions: the number of each sample of this batch within the run.
        purpose: see `fold_seed`.
    """

    def __init__(self, seed: int, positions: Iterable[int], purpose: str = "sample") -> None:
        self.generators = [generator_at(seed, position, purpose) for position in positions]

    def repeat_interleave(self, count: int) -> "SampleGenerators":
        """The same streams for a batch with `count` consecutive rows of each sample."""
        repeated = SampleGenerators(0, ())
        repeated.generators = [g for g in self.generators for _ in range(count)]
        return repeated

    def draw(
        self,
        sampler: Callable[[int, torch.Generator], Tensor],
        num_samples: int,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Stack sampler(i, generator of sample i) over the samples.

        Raises:
            ValueError: If the batch has another number of samples.
        """
        if num_samples != len(self.generators):
            raise ValueError(
                f"generator has {len(self.generators)} streams for a batch of {num_samples} "
                "samples: give SampleGenerators one position for each sample"
            )
        return torch.stack([sampler(i, g) for i, g in enumerate(self.generators)]).to(device)


Generator = torch.Generator | SampleGenerators


def _check_generator(generator: object) -> None:
    what = "a torch.Generator, SampleGenerators or None"
    require_type("generator", generator, Generator | None, what)


def repeated_generator(generator: Generator | None, count: int) -> Generator | None:
    """The generator of a batch in which each sample has `count` consecutive rows."""
    if isinstance(generator, SampleGenerators):
        return generator.repeat_interleave(count)
    return generator


def uniform(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Independent uniforms on [0, 1), float64, drawn on the device of the generator, then moved.

    Raises:
        TypeError: If generator is no generator.
        ValueError: If this machine lacks the device.
    """
    _check_generator(generator)
    if device is not None:
        check_device("device", device)
    if isinstance(generator, SampleGenerators):
        rest = tuple(shape[1:])
        if not (shape[0] or generator.generators):
            return torch.empty(tuple(shape), dtype=torch.float64, device=device)
        return generator.draw(
            lambda _, g: torch.rand(rest, dtype=torch.float64, generator=g), shape[0], device
        )
    if generator is None:
        return torch.rand(tuple(shape), dtype=torch.float64, device=device)
    draws = torch.rand(
        tuple(shape), dtype=torch.float64, device=generator.device, generator=generator
    )
    return draws.to(device)


def stratified_uniform(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Uniforms that are stratified over the last axis: each of its n equal cells holds one of them.

    Every entry by itself is uniform on [0, 1). The entries of a row are negatively dependent, so
    the mean over a row varies less than for independent draws. Rows are independent.
    """
    cells = uniform(shape, generator=generator, device=device).argsort(-1)
    draws = (cells + uniform(shape, generator=generator, device=device)) / max(1, shape[-1])
    return draws.clamp_max(1 - torch.finfo(torch.float64).eps / 2)  # the largest may round to 1


def gumbel(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Standard Gumbel draws -log(-log u), float64.

    Float32 noise would lower the entropy of generated text.
    """
    draws = uniform(shape, generator=generator, device=device)
    return -torch.log(-torch.log(draws.clamp_min(torch.finfo(torch.float64).tiny)))


def poisson(
    rates: Float[Tensor, "*batch"], *, generator: Generator | None = None
) -> Float[Tensor, "*batch"]:
    """Independent Poisson counts with the given means, in the shape of `rates`."""
    _check_generator(generator)
    if isinstance(generator, SampleGenerators):
        host = rates.cpu()
        return generator.draw(
            lambda i, g: torch.poisson(host[i], generator=g), len(rates), rates.device
        )
    if generator is None:
        return torch.poisson(rates)
    return torch.poisson(rates.to(generator.device), generator=generator).to(rates.device)


def categorical(
    probs: Float[Tensor, "*batch state"], *, generator: Generator | None = None
) -> Int[Tensor, "*batch"]:
    """One draw for each row, from one uniform number (see `invert`).

    A state of probability zero is never drawn. The uniforms are float64 for every dtype of probs:
    float32 noise loses tails below 2^-24 and lowers the entropy of the draws at large S.

    Args:
        probs: non-negative weights over the last axis, (..., S). Each row must have a positive,
            finite sum; it need not be 1.
        generator: source of randomness, best on the device of probs.

    Returns:
        States, (...).

    Raises:
        ValueError: See `invert`.
    """
    return invert(probs, uniform(probs.shape[:-1], generator=generator, device=probs.device))


def invert(
    probs: Float[Tensor, "*batch state"], uniforms: Float[Tensor, "*batch"]
) -> Int[Tensor, "*batch"]:
    """The first state at which the cumulative sum of a row exceeds the given share of its total.

    The rows are processed in chunks, so that the float64 sums need at most 32 MiB.

    Args:
        probs: non-negative weights over the last axis, (..., S). Each row must have a positive,
            finite sum. This is checked on the CPU only; elsewhere it would wait for the device.
        uniforms: shares in [0, 1), (...).

    Returns:
        States, (...).

    Raises:
        ValueError: If a row sums to zero, infinity or NaN.
    """
    rows, draws = probs.reshape(-1, probs.shape[-1]), uniforms.reshape(-1, 1).double()
    size = max(1, _CHUNK_NUMBERS // probs.shape[-1])
    starts = range(0, len(rows), size)
    found = [_invert(rows[i : i + size], draws[i : i + size], i) for i in starts]
    return torch.cat(found).reshape(uniforms.shape) if found else uniforms.long()


def _invert(
    rows: Float[Tensor, "row state"], draws: Float[Tensor, "row 1"], first: int
) -> Int[Tensor, "row"]:
    """`invert` for one chunk of rows; `first` is the number of its first row."""
    cdf = rows.cumsum(-1, dtype=torch.float64)
    total = cdf[:, -1:]
    if rows.device.type == "cpu":
        bad = ~((total > 0) & total.isfinite())
        if bool(bad.any()):
            row = int(bad.nonzero()[0, 0])
            raise ValueError(
                f"probs must have rows with a positive, finite sum; row {first + row} of the "
                f"flattened batch sums to {float(total[row])}: look for NaN or for a law "
                "without support"
            )
    # The threshold stays below the total, so the state that is found has positive weight.
    threshold = torch.minimum(draws * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cdf, threshold, right=True).squeeze(-1)


def exponential_race(
    weights: Float[Tensor, "*batch state"],
    *,
    uniforms: Float[Tensor, "*batch state"] | None = None,
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""One draw for each row as the winner of a race of exponential clocks.

    $$\arg\max_s \frac{w_s}{g - \log(u_s + g)}, \qquad g = 10^{-10}.$$

    The law is that of `categorical` up to the small number g, but each row needs S uniforms. MDLM
    (Sahoo et al. 2024) and SDTT draw in this way. With their recorded uniforms this function
    returns their tokens.

    Args:
        weights: non-negative weights over the last axis, (..., S).
        uniforms: S uniforms for each row, (..., S); drawn if None.
        generator: source of randomness, best on the device of weights.

    Returns:
        States, (...).
    """
    if uniforms is None:
        uniforms = uniform(weights.shape, generator=generator, device=weights.device)
    clock = _RACE_GUARD - torch.log(uniforms.double() + _RACE_GUARD)
    return (weights / clock).argmax(-1)
