r"""The product sampler for coordinates that each have their own rates, which change over time.

The rates are piecewise constant. Two generators of a coordinate need not commute, so kernels are
products of matrix exponentials. Everything is dense, for tiny spaces, and shares no code with
`di4c`, whose processes use one law for all coordinates.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from theory.tools import oracle


@dataclass(frozen=True)
class OwnRates:
    """Noise with rates of its own for each coordinate.

    Attributes:
        law: p_0 over all states, (S^D,), in lexicographic order.
        pieces: one array (D, S, S) of generators, [coordinate, from, to], for each equal part of
            the horizon.
        horizon: T.
    """

    law: np.ndarray
    pieces: Sequence[np.ndarray]
    horizon: float

    @property
    def num_dims(self) -> int:
        """D."""
        return self.pieces[0].shape[0]

    @property
    def num_states(self) -> int:
        """S."""
        return self.pieces[0].shape[1]

    def rates(self, t: float) -> np.ndarray:
        """The generators at time t, (D, S, S)."""
        part = int(t / self.horizon * len(self.pieces))
        return self.pieces[min(part, len(self.pieces) - 1)]

    def kernels(self, s: float, t: float) -> list[np.ndarray]:
        """The kernel of each coordinate from s to t."""
        cuts = [self.horizon * k / len(self.pieces) for k in range(1, len(self.pieces))]
        times = [s, *(c for c in cuts if s < c < t), t]
        result = [np.eye(self.num_states)] * self.num_dims
        for a, b in itertools.pairwise(times):
            steps = scipy.linalg.expm((b - a) * self.rates((a + b) / 2))
            result = [k @ step for k, step in zip(result, steps, strict=True)]
        return result

    def forward(self, s: float, t: float) -> np.ndarray:
        """The kernel on all states from s to t, [from, to]."""
        return functools.reduce(np.kron, self.kernels(s, t))

    def noised(self, t: float) -> np.ndarray:
        """q_t, (S^D,)."""
        return self.law @ self.forward(0.0, t)

    def step(self, s: float, t: float) -> tuple[np.ndarray, np.ndarray]:
        """True reverse kernel and product of its marginals, both [x_t, x_s]."""
        joint = (self.noised(s)[:, None] * self.forward(s, t)).T
        true = joint / joint.sum(1, keepdims=True)
        shape = (self.num_states,) * self.num_dims
        rows = []
        for row in true:
            cube = row.reshape(shape)
            axes = range(self.num_dims)
            single = [cube.sum(tuple(a for a in axes if a != d)) for d in axes]
            rows.append(functools.reduce(np.kron, single))
        return true, np.array(rows)

    def steps(self, num_steps: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """(q_t, true kernel, product kernel) of each step of the uniform grid, from t_N on."""
        for k in range(num_steps, 0, -1):
            t, s = self.horizon * k / num_steps, self.horizon * (k - 1) / num_steps
            yield self.noised(t), *self.step(s, t)

    def generated(self, num_steps: int) -> np.ndarray:
        """The law of N product steps on the uniform grid, from q_T."""
        law = self.noised(self.horizon)
        for _, _, product in self.steps(num_steps):
            law = law @ product
        return law


def defects(law: np.ndarray, rates: np.ndarray) -> np.ndarray:
    r"""Delta_x of Lemma 1 with rates of their own, (S^D, S^D) as [x, y].

    $\kappa = R_d(u, x_d) R_e(v, x_e) [q(x^{uv})/q(x) - q(x^u) q(x^v)/q(x)^2]$ for each pair d < e
    and values u, v: +kappa on the double flip and on x, -kappa on the single flips.
    """
    num_dims, num_states, _ = rates.shape
    states = oracle.all_states(num_dims, num_states)
    place = {x: k for k, x in enumerate(states)}
    result = np.zeros((len(states), len(states)))
    for i, x in enumerate(states):
        for d, e in itertools.combinations(range(num_dims), 2):
            for u, v in itertools.product(range(num_states), repeat=2):
                if u == x[d] or v == x[e]:
                    continue
                first, second = list(x), list(x)
                first[d], second[e] = u, v
                both = list(first)
                both[e] = v
                a, b, c = (place[tuple(y)] for y in (first, second, both))
                speed = rates[d, u, x[d]] * rates[e, v, x[e]]
                kappa = speed * (law[c] / law[i] - law[a] * law[b] / law[i] ** 2)
                result[i, [a, b]] -= kappa
                result[i, [c, i]] += kappa
    return result


def random_rates(rng: np.random.Generator, num_dims: int, num_states: int) -> np.ndarray:
    """Positive random generators, one for each coordinate, (D, S, S)."""
    rates = rng.uniform(0.2, 1.2, (num_dims, num_states, num_states))
    for row in rates:
        np.fill_diagonal(row, 0)
        np.fill_diagonal(row, -row.sum(1))
    return rates


def random_noise(
    rng: np.random.Generator, num_dims: int, num_states: int, num_pieces: int = 2
) -> OwnRates:
    """A random law of full support and random noise whose generators do not commute."""
    law = rng.uniform(0.3, 1.5, num_states**num_dims)
    pieces = [random_rates(rng, num_dims, num_states) for _ in range(num_pieces)]
    return OwnRates(law / law.sum(), pieces, horizon=rng.uniform(0.6, 1.4))


def over_time(noise: OwnRates, nodes: int = 12) -> Iterator[tuple[float, float]]:
    """Times and weights of a Gauss-Legendre quadrature over [0, T], piece by piece."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    length = noise.horizon / len(noise.pieces)
    for k in range(len(noise.pieces)):
        for point, weight in zip(points, weights, strict=True):
            yield length * (k + (1 + point) / 2), length * weight / 2


def limit_direction(noise: OwnRates) -> np.ndarray:
    r"""$V = \int_0^T K_{0|t}[G_t]\, dt$ with $G_t = -\sum_x q_t(x) \Delta_x$."""
    total = np.zeros_like(noise.law)
    for t, weight in over_time(noise):
        q = noise.noised(t)
        mean = -q @ defects(q, noise.rates(t))
        total += weight * noise.law * (noise.forward(0.0, t) @ (mean / q))
    return total
