"""The synthetic laws of the benchmark, each a vector over all S^D states in lexicographic order."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from di4c.exact import states

PICTURE_STATES = 32
"""Values of one coordinate of the two-dimensional laws that make a picture."""


def correlated_pair(correlation: float) -> Float[Tensor, "atom"]:
    r"""Two fair bits that agree with probability $(1 + \theta) / 2$: $E[s_1 s_2] = \theta$."""
    agree, differ = (1 + correlation) / 4, (1 - correlation) / 4
    return torch.tensor([agree, differ, differ, agree], dtype=torch.float64)


def parity(num_dims: int) -> Float[Tensor, "atom"]:
    """Uniform on the bit strings of even sum: any D - 1 of the bits are independent."""
    even = states(num_dims, 2).sum(1) % 2 == 0
    return even.double() / 2 ** (num_dims - 1)


def repetition(num_dims: int) -> Float[Tensor, "atom"]:
    """D equal bits: all 0 or all 1, each with probability 1/2."""
    law = torch.zeros(2**num_dims, dtype=torch.float64)
    law[[0, -1]] = 0.5
    return law


def ring_ising(num_dims: int, inverse_temperature: float) -> Float[Tensor, "atom"]:
    r"""Spins on a ring, $p(s) \propto e^{\beta \sum_d s_d s_{d+1}}$.

    The correlation length of a long ring is $-1 / \log\tanh\beta$, finite at every temperature.
    """
    spins = 2 * states(num_dims, 2) - 1
    energy = (spins * spins.roll(1, 1)).sum(1).double()
    return (inverse_temperature * energy).softmax(0)


def permutations(num_dims: int) -> Float[Tensor, "atom"]:
    """Uniform on the permutations of D values; coordinate d is the value at position d (S = D)."""
    distinct = states(num_dims, num_dims).sort(1).values == torch.arange(num_dims)
    return distinct.all(1).double() / math.factorial(num_dims)


def hidden_markov(
    num_dims: int, num_states: int, stay: float = 0.6, forward: float = 0.3, truthful: float = 0.85
) -> Float[Tensor, "atom"]:
    """Noisy observations of a hidden Markov chain on a circle of S states.

    The hidden chain starts uniformly. It stays with probability `stay`, moves to the next state
    with probability `forward`, and otherwise jumps to a uniformly drawn state. The observation is
    the hidden state with probability `truthful`, and otherwise one of the other states.
    """
    eye = torch.eye(num_states, dtype=torch.float64)
    jump = (1 - stay - forward) / num_states
    move = stay * eye + forward * eye.roll(1, 1) + jump
    view = eye * truthful + (1 - eye) * (1 - truthful) / (num_states - 1)  # [hidden, observed]
    prefix = torch.full((1, num_states), 1 / num_states, dtype=torch.float64)
    for d in range(num_dims):
        hidden = prefix if d == 0 else prefix @ move
        # [observed so far, hidden now] -> one more observation
        prefix = (hidden[:, None] * view.T).reshape(-1, num_states)
    return prefix.sum(1)


def checkerboard(num_states: int, squares: int = 4) -> Float[Tensor, "atom"]:
    """Uniform on every second square of a board: a mixture of two products."""
    square = torch.arange(num_states) * squares // num_states
    dark = (square[:, None] + square) % 2 == 0
    return dark.double().flatten() / dark.sum()


def digit_picture(num_states: int, image: int = 3) -> Float[Tensor, "atom"]:
    """Grey values of one handwritten digit as a law, interpolated between its 8 x 8 pixels.

    The interpolation is bilinear. The first coordinate runs to the right and the second upwards.

    Raises:
        ValueError: If scikit-learn, which holds the digits, is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ValueError(
            "the package scikit-learn is missing; install it with: pip install -e '.[theory]'"
        ) from error
    pixels = torch.from_numpy(load_digits().images[image]).flip(0).T[None, None]
    fine = interpolate(pixels, size=(num_states, num_states), mode="bilinear")[0, 0]
    return fine.flatten() / fine.sum()


def two_moons(num_states: int, width: float = 0.12) -> Float[Tensor, "row column"]:
    """Two interleaved half circles of radius 1, blurred by a Gaussian, on a square grid.

    Args:
        num_states: S, cells along each side; the first coordinate runs along the width.
        width: standard deviation of the blur, in radii.
    """
    angles = torch.linspace(0, math.pi, 400, dtype=torch.float64)
    upper = torch.stack([angles.cos() - 0.5, angles.sin() - 0.25])
    points = torch.cat([upper, -upper], 1)  # (2, 800), symmetric about the origin
    cells = (torch.arange(num_states, dtype=torch.float64) + 0.5) / num_states
    first, second = 4.0 * cells - 2.0, 3.2 * cells - 1.6
    blur = [
        torch.exp(-((axis[:, None] - point) ** 2) / (2 * width**2))
        for axis, point in zip((first, second), points, strict=True)
    ]
    law = blur[0] @ blur[1].T
    return law / law.sum()
