r"""The exact masked teacher for every number of steps at once.

With a linear schedule and equal steps each coordinate is revealed in any of the N steps alike and
independently of the others, so a run is an ordered partition of the D coordinates into at most D
non-empty batches. With $L_m(x)$ the sum over all ordered partitions into exactly m batches of
$\prod_B \prod_{i \in B} p(x_i \mid x_{\text{earlier batches}})$,

$$p_N = N^{-D} \sum_{m=1}^{\min(N, D)} \binom{N}{m} L_m .$$

Every term is non-negative, so nothing cancels, and D vectors give the whole curve. The recursion
over batches runs on the $(S+1)^D$ partly masked states,

$$u_m(B, x_B) = \sum_{A \subsetneq B} u_{m-1}(A, x_A) \prod_{i \in B \setminus A} p(x_i \mid x_A),
\qquad L_m = u_m \text{ where nothing is masked},$$

and costs one step of the sampler for each m. This project's own; its test is
`di4c.exact.product_composition`.
"""

import itertools
import math
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact import marginals, product_law, push_forward, states
from di4c.exact.laws import as_law, product_columns, require_memory
from toys.teachers import marginalise

_TAIL_STATES = 300  # states of the last coordinates: one small dense matrix product a block

Progress = Callable[[range], Iterable[int]]


class BatchLaws:
    r"""$L_1, \dots, L_D$ of a law, each computed when it is first asked for.

    Args:
        q_0: data law, (S^D,).
        num_values: S.
        progress: wraps the range of blocks of one recursion, e.g. tqdm.

    Raises:
        ValueError: If q_0 is no law on S^D, or if four numbers for each of the (S + 1)^D partly
            masked states do not fit into memory.
    """

    def __init__(self, q_0: Tensor, num_values: int, progress: Progress | None = None) -> None:
        law, self.num_dims = as_law(q_0, num_values)
        self.num_values = num_values
        size = (num_values + 1) ** self.num_dims
        require_memory(32.0 * size, f"the {num_values + 1}^{self.num_dims} partly masked states")
        self.progress = progress
        self._mass = push_forward(law, marginalise(num_values))  # p(x_A)
        self._own = marginals(law, self.num_dims, num_values)
        stay = torch.ones(self.num_dims, 1, dtype=torch.float64)
        self._current = product_law(torch.cat([self._own, stay], 1))  # u_1: any B at once, ...
        self._current[-1] = 0.0  # ... but not the empty one
        self._found = [self._unmasked()]

    def __getitem__(self, m: int) -> Float[Tensor, "atom"]:
        """L_m; 0 for m > D."""
        if m > self.num_dims:
            return torch.zeros_like(self._found[0])
        while len(self._found) < m:
            self._recur()
            self._found.append(self._unmasked())
        return self._found[m - 1]

    def output(self, num_steps: int) -> Float[Tensor, "atom"]:
        """The law $p_N$ after num_steps equal steps of the exact product teacher."""
        if num_steps < 1:
            raise ValueError(f"num_steps must be at least 1; got {num_steps}")
        return sum(
            (
                self[m] * (math.comb(num_steps, m) / num_steps**self.num_dims)
                for m in range(1, min(num_steps, self.num_dims) + 1)
            ),
            torch.zeros_like(self._found[0]),
        )

    @property
    def flops(self) -> float:
        """Floating-point operations of one recursion, from L_m to L_{m+1}."""
        base, tail = self.num_values + 1, self._tail_dims
        return 2.0 * (base + self.num_values) ** (self.num_dims - tail) * base ** (2 * tail)

    @property
    def _tail_dims(self) -> int:
        """How many of the last coordinates go into one dense matrix product."""
        base = self.num_values + 1
        return max(d for d in range(self.num_dims + 1) if d <= 1 or base**d <= _TAIL_STATES)

    def _unmasked(self) -> Tensor:
        cube = self._current.reshape((self.num_values + 1,) * self.num_dims)
        return cube[(slice(0, self.num_values),) * self.num_dims].reshape(-1)

    def _recur(self) -> None:
        """From u_m to u_{m+1}: the first coordinates enumerated, the last in a dense product."""
        base, mask = self.num_values + 1, self.num_values
        tail = self._tail_dims
        head, size = self.num_dims - tail, base**tail
        strides = [base ** (head - 1 - d) for d in range(head)]
        source, own_tail = self._tail(head, tail)
        own_head = torch.nn.functional.pad(self._own, (0, 1), value=1.0)
        mass, current = self._mass.view(-1, size), self._current.view(-1, size)
        result = torch.zeros_like(current)
        choices, ones = torch.arange(base), torch.ones(1, size, dtype=torch.float64)
        rows = range(len(mass))
        heads = itertools.product(range(base), repeat=head)
        for row, x in zip(self.progress(rows) if self.progress else rows, heads, strict=True):
            if not bool(current[row].any()):
                continue
            # Where p(x_A) = 0, which products reach, each coordinate follows its own marginal: the
            # convention of `di4c.exact.posterior_marginals`.
            possible = mass[row] > 0
            total = mass[row].where(possible, 1.0)
            masked = [d for d in range(head) if x[d] == mask]
            target = torch.tensor([row - mask * sum(strides[d] for d in masked)])
            weights = ones
            for d in masked:
                target = (target[:, None] + choices * strides[d]).flatten()
                reveal = mass[row - mask * strides[d] : row + 1 : strides[d]]  # x_d = 0, ..., mask
                reveal = torch.where(possible, reveal / total, own_head[d, :, None])
                weights = (weights[:, None] * reveal).flatten(0, 1)
            reveal = torch.nn.functional.pad(mass[row], (0, 1))[source] / total
            kernel = product_columns(torch.where(possible, reveal, own_tail))
            result.index_add_(0, target, (weights * current[row]) @ kernel.T)
        # A = B, the batch that reveals nothing, was counted too.
        self._current = (result - current).clamp_min_(0.0).flatten()

    def _tail(self, head: int, tail: int) -> tuple[Tensor, Tensor]:
        """Which state gives P(x_d = v | x_A) of the last coordinates, and what holds without one.

        Returns:
            For coordinate d, value v (or the mask) and state z, (tail, S + 1, states): the place
            of z with v at d if d is masked, of z itself if z_d = v, one beyond the end (no
            probability) otherwise; and the marginal of v, 1 for what stays, 0 otherwise.
        """
        base, mask = self.num_values + 1, self.num_values
        z, values = states(tail, base).T[:, None], torch.arange(base)[:, None]
        strides = (base ** torch.arange(tail - 1, -1, -1))[:, None, None]
        moved = torch.arange(base**tail) + (values - z) * strides
        source = torch.where((z == mask) | (z == values), moved, base**tail)
        own = torch.nn.functional.pad(self._own[head:], (0, 1), value=1.0)[:, :, None]
        return source, torch.where(z == mask, own, (z == values).double())
