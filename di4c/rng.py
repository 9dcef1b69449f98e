"""Random draws: every one takes a generator, and the numbers behind it are float64.

`generator` is a torch.Generator, None for torch's own, or `SampleGenerators`: one stream a sample,
so that sample i comes out the same whatever the batch size or the number of devices.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

_CHUNK_NUMBERS = 2**22  # float64 numbers of a cumulative sum held at once: 32 MiB
_WORD = 2**32

# MDLM's guards in its exponential race, which bias a draw by 1e-10: kept to reproduce its runs.
_RACE_GUARD = 1e-10


def fold_seed(seed: int, position: int, purpose: str) -> int:
    """A seed for one purpose at one position of a run (a sample's number, a training step).

    torch's CPU generator reads only the low 32 bits of a seed, so that hashing alone would give
    two of 50,000 samples the same stream in one run out of four. Here the low half is a bijection
    of the position: positions of one (seed, purpose) never share a stream. Two seeds share either
    none of the streams of n positions or, in about one of 2^32 / n pairs, all in another order.

    Args:
        seed: the seed of the run, any integer.
        position: 0 <= position < 2^32.
        purpose: what is drawn, e.g. "latent", so that purposes do not share a stream.

    Raises:
        ValueError: If the position does not fit.
    """
    if not 0 <= position < _WORD:
        raise ValueError(f"position must lie in 0..2^32 - 1; got {position}: count from 0")
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    high, low = divmod(int.from_bytes(digest, "big"), _WORD)
    return high * _WORD + _scramble(position ^ low)


def _scramble(word: int) -> int:
    """A bijection of 32-bit words that spreads every bit (the finaliser of MurmurHash3)."""
    word = (word ^ word >> 16) * 0x85EBCA6B % _WORD
    word = (word ^ word >> 13) * 0xC2B2AE35 % _WORD
    return word ^ word >> 16


def generator_at(
    seed: int, position: int, purpose: str, device: torch.device | str = "cpu"
) -> torch.Generator:
    """A generator seeded by position: a resumed run draws what the first one would have drawn."""
    return torch.Generator(device).manual_seed(fold_seed(seed, position, purpose))


class SampleGenerators:
    """One generator a sample; the leading axis of every draw counts the samples.

    Numbers are drawn on the CPU and then moved: they do not depend on the device either.

    Args:
        seed: the seed of the run.
        positions: the number of each sample of this batch within the run.
        purpose: see fold_seed.
    """

    def __init__(self, seed: int, positions: Iterable[int], purpose: str = "sample") -> None:
        self.generators = [generator_at(seed, position, purpose) for position in positions]

    def repeat_interleave(self, count: int) -> "SampleGenerators":
        """The same streams for a batch that holds `count` rows of each sample, side by side."""
        repeated = SampleGenerators(0, ())
        repeated.generators = [g for g in self.generators for _ in range(count)]
        return repeated

    def draw(
        self,
        sampler: Callable[[int, torch.Generator], Tensor],
        num_samples: int,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Stack sampler(i, generator of sample i) over the samples."""
        if num_samples != len(self.generators):
            raise ValueError(
                f"generator has {len(self.generators)} streams for a batch of {num_samples} "
                "samples: give SampleGenerators one position a sample"
            )
        return torch.stack([sampler(i, g) for i, g in enumerate(self.generators)]).to(device)


Generator = torch.Generator | SampleGenerators


def uniform(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Independent uniforms on [0, 1), float64, drawn where the generator is and then moved."""
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
    """Uniforms of which the last axis puts exactly one into each of its n equal cells.

    Every entry is uniform on [0, 1); entries of one row are negatively dependent, so that the mean
    over a row has less variance than that of independent draws. Rows are independent.
    """
    cells = uniform(shape, generator=generator, device=device).argsort(-1)
    draws = (cells + uniform(shape, generator=generator, device=device)) / max(1, shape[-1])
    return draws.clamp_max(1 - torch.finfo(torch.float64).eps / 2)  # the last may round to 1


def gumbel(
    shape: Sequence[int],
    *,
    generator: Generator | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "..."]:
    """Standard Gumbel draws -log(-log u), float64 (float32 noise flatters generated text)."""
    draws = uniform(shape, generator=generator, device=device)
    return -torch.log(-torch.log(draws.clamp_min(torch.finfo(torch.float64).tiny)))


def poisson(
    rates: Float[Tensor, "*batch"], *, generator: Generator | None = None
) -> Float[Tensor, "*batch"]:
    """Independent Poisson counts with the given means."""
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
    """One draw per row, from one float64 uniform a row (see `invert`).

    Rows need not be normalised. A state of probability zero is never drawn. Float32 noise lowers
    the entropy of draws at large S (tails below 2^-24 vanish), hence float64 whatever comes in.

    Args:
        probs: non-negative weights over the last axis, each row with a positive, finite sum.
        generator: source of randomness, best on the device of probs.

    Raises:
        ValueError: See `invert`.
    """
    return invert(probs, uniform(probs.shape[:-1], generator=generator, device=probs.device))


def invert(
    probs: Float[Tensor, "*batch state"], uniforms: Float[Tensor, "*batch"]
) -> Int[Tensor, "*batch"]:
    """The state at which the cumulative sum of each row passes the given share of its total.

    In chunks of rows: however large the input, its float64 sums never take more than 32 MiB.

    Args:
        probs: non-negative weights over the last axis, each row with a positive, finite sum
            (checked on the CPU; elsewhere the check would wait for the device).
        uniforms: shares in [0, 1).

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
    """See invert; `first` is the number of the first row."""
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
    # Stay strictly below the total: the first entry above the threshold has positive weight.
    threshold = torch.minimum(draws * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cdf, threshold, right=True).squeeze(-1)


def exponential_race(
    weights: Float[Tensor, "*batch state"],
    *,
    uniforms: Float[Tensor, "*batch state"] | None = None,
    generator: Generator | None = None,
) -> Int[Tensor, "*batch"]:
    r"""One draw per row as the winner of a race: $\arg\max_s w_s / (g - \log(u_s + g))$, g = 1e-10.

    The law is that of `categorical` up to the guard g, at S uniforms a row instead of one. This is
    the draw of MDLM (Sahoo et al. 2024) and SDTT; with their recorded uniforms it returns their
    tokens.

    Args:
        weights: non-negative weights over the last axis.
        uniforms: the S uniforms of each row, where they are given and not drawn.
        generator: source of randomness, best on the device of weights.
    """
    if uniforms is None:
        uniforms = uniform(weights.shape, generator=generator, device=weights.device)
    clock = _RACE_GUARD - torch.log(uniforms.double() + _RACE_GUARD)
    return (weights / clock).argmax(-1)
