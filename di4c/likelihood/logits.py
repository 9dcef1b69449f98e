"""From the features of a position to its log-probabilities: heads, and the transform of logits.

A head maps features (rows, H) to logits (rows, S) and computes the gradients of this map. A
`LogitsTransform` says what happens between the logits and the softmax.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.checks import check_count, check_floating, check_number, require_tensor
from di4c.likelihood.checks import check_shape


@dataclass(frozen=True)
class LogitsTransform:
    r"""What happens between the logits and the softmax.

    Attributes:
        soft_cap: c > 0 of the map $z \mapsto c \tanh(z / c)$, or None for no cap.
        excluded_states: states that cannot occur, such as the mask. Their logits become -inf.
        given: the state of each coordinate that is known, and -1 for those to be predicted. Known
            coordinates become point masses and send no gradient. (B, D), or (B, L, D) if each
            latent has its own $x_t$.

    Raises:
        ValueError: If the cap is not positive and finite, an excluded state is repeated or no
            number of a state, or `given` has another number of axes.
    """

    soft_cap: float | None = None
    excluded_states: tuple[int, ...] = ()
    given: Int[Tensor, "batch *latent dim"] | None = None

    def __post_init__(self) -> None:
        if self.soft_cap is not None:
            check_number("soft_cap", self.soft_cap, "(0, inf)", "use None for no cap")
        for state in self.excluded_states:
            check_count("excluded_states", state, 0)
        if len(set(self.excluded_states)) < len(self.excluded_states):
            raise ValueError(f"excluded_states must be distinct; got {self.excluded_states}")
        if self.given is not None:
            require_tensor("given", self.given)
            if self.given.ndim not in (2, 3):
                raise ValueError(
                    f"given must have shape (batch, dim) or (batch, latent, dim); got "
                    f"{tuple(self.given.shape)}"
                )

    @classmethod
    def subs(
        cls, x_t: Int[Tensor, "batch *latent dim"], mask_state: int, soft_cap: float | None = None
    ) -> "LogitsTransform":
        """The masked parametrisation: x_0 has no mask, and unmasked coordinates are carried over.

        Source: the SUBS parametrisation of MDLM (Sahoo et al., NeurIPS 2024).

        Args:
            x_t: (B, D), or (B, L, D) if each latent has its own.
            mask_state: index of the mask.
            soft_cap: see the class.
        """
        return cls(soft_cap, (mask_state,), torch.where(x_t == mask_state, -1, x_t))

    def check(self, batch: int, num_latents: int, num_dims: int, num_states: int) -> None:
        """Raise ValueError unless the transform fits logits of shape (B, L, D, S)."""
        for state in self.excluded_states:
            if not 0 <= state < num_states:
                raise ValueError(
                    f"excluded_states must be in 0..{num_states - 1}; got {state}: count the "
                    "mask state among the states of the head"
                )
        if len(self.excluded_states) == num_states:
            raise ValueError(
                f"excluded_states must leave at least one of the {num_states} states possible; got "
                f"all of them"
            )
        if self.given is not None:
            per_latent = self.given.ndim == 3
            shape = (batch, num_latents, num_dims) if per_latent else (batch, num_dims)
            axes = "batch, latent, dim" if per_latent else "batch, dim"
            check_shape("given", self.given, shape, axes)

    def log_probs(
        self, logits: Float[Tensor, "batch latent dim state"]
    ) -> Float[Tensor, "batch latent dim state"]:
        """Log-probabilities (B, L, D, S) in float32 or wider, differentiable in the logits."""
        check_shape("logits", logits, (-1, -1, -1, -1), "batch, latent, dim, state")
        check_floating("logits", logits)
        batch, num_latents, num_dims, num_states = logits.shape
        self.check(batch, num_latents, num_dims, num_states)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.soft_cap is not None:
            logits = self.soft_cap * (logits / self.soft_cap).tanh()
        if self.excluded_states:
            excluded = torch.tensor(self.excluded_states, device=logits.device)
            logits = logits.index_fill(-1, excluded, -torch.inf)
        if self.given is None:
            return logits.log_softmax(-1)
        given = self.given[:, None] if self.given.ndim == 2 else self.given
        open_ = (given < 0)[..., None]
        # The logits of known coordinates are replaced first, because all of them may be -inf.
        log_probs = torch.where(open_, logits, 0.0).log_softmax(-1)
        return torch.where(open_, log_probs, log_point_mass(given, num_states).to(log_probs))


def log_point_mass(state: Int[Tensor, "*rows"], num_states: int) -> Float[Tensor, "*rows state"]:
    """Log-probabilities (..., S) of the point mass on each state: 0 there, -inf elsewhere."""
    states = torch.arange(num_states, device=state.device)
    return torch.where(states == state[..., None], 0.0, -torch.inf)


@runtime_checkable  # beartype checks arguments against it in tests
class Head(Protocol):
    """A map from the features of a position to its logits."""

    @property
    def num_states(self) -> int:
        """Number of states S."""
        ...

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """Tensors that gradients flow to."""
        ...

    def check(self, num_features: int) -> None:
        """Raise ValueError unless the head takes that many features."""
        ...

    def with_parameters(self, parameters: tuple[Tensor, ...]) -> "Head":
        """The same head with other tensors in place of `parameters`."""
        ...

    def logits(self, rows: Float[Tensor, "row hidden"], out: Float[Tensor, "row state"]) -> None:
        """Write the logits of the rows (R, H) to `out` (R, S)."""
        ...

    def backward(
        self,
        rows: Float[Tensor, "row hidden"],
        grad_logits: Float[Tensor, "row state"],
        needs: tuple[bool, ...],
        grads: tuple[Tensor | None, ...],
    ) -> Float[Tensor, "row hidden"] | None:
        """Add the gradients of the parameters to `grads` and return the gradient of the rows.

        Args:
            rows: features, (R, H).
            grad_logits: gradient of the logits, (R, S); may be overwritten.
            needs: whether a gradient is wanted, for the rows and then for each parameter.
            grads: one buffer for each parameter; None if its gradient is not wanted.

        Returns:
            (R, H), or None if the gradient of the rows is not wanted.
        """
        ...


@dataclass(frozen=True)
class LinearHead:
    """Logits $W h + b$.

    The product runs in the dtype of the features; W is cast to it, as autocast would do. Sums are
    in float32 or wider, also those of the gradient of W over all chunks.

    Attributes:
        weight: W, (S, H).
        bias: b, (S,), or None.
    """

    weight: Float[Tensor, "state hidden"]
    bias: Float[Tensor, "state"] | None = None

    @property
    def num_states(self) -> int:
        return self.weight.shape[0]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def check(self, num_features: int) -> None:
        require_tensor("weight", self.weight)
        if self.weight.ndim != 2 or self.weight.shape[1] != num_features:
            raise ValueError(
                f"weight must have shape (state, feature) = (any, {num_features}) like hidden; got "
                f"{tuple(self.weight.shape)}"
            )
        if self.bias is not None:
            check_shape("bias", self.bias, (self.num_states,), "state")

    def with_parameters(self, parameters: tuple[Tensor, ...]) -> "LinearHead":
        return LinearHead(*parameters)

    def logits(self, rows: Float[Tensor, "row hidden"], out: Float[Tensor, "row state"]) -> None:
        weight = self.weight.to(rows.dtype).T
        if self.bias is not None and self.bias.dtype == rows.dtype == out.dtype:
            torch.addmm(self.bias, rows, weight, out=out)
            return
        _product(rows, weight, out)
        if self.bias is not None:
            out.add_(self.bias)

    def backward(
        self,
        rows: Float[Tensor, "row hidden"],
        grad_logits: Float[Tensor, "row state"],
        needs: tuple[bool, ...],
        grads: tuple[Tensor | None, ...],
    ) -> Float[Tensor, "row hidden"] | None:
        if self.bias is not None and grads[1] is not None:
            grads[1].add_(grad_logits.sum(0))
        grad_logits = grad_logits.to(rows.dtype) if rows.is_cuda else grad_logits
        if grads[0] is not None:
            _add_product(grads[0], grad_logits.T, rows)
        if not needs[0]:
            return None
        grad_rows = rows.new_empty(rows.shape, dtype=torch.promote_types(rows.dtype, torch.float32))
        _product(grad_logits, self.weight.to(grad_logits.dtype), grad_rows)
        return grad_rows


@dataclass(frozen=True)
class FunctionHead:
    """Logits computed by a function, such as the truncated logistic of a U-Net's two outputs.

    The function is called on a few rows at a time, outside autocast, and once more in the backward
    pass. It must treat every row by itself. A tensor that needs a gradient must be one of its
    arguments.

    Attributes:
        function: (rows (R, H), *parameters) -> logits (R, S), differentiable.
        num_states: S.
        parameters: tensors passed to the function that gradients flow to.
    """

    function: Callable[..., Tensor]
    num_states: int
    parameters: tuple[Tensor, ...] = ()

    def check(self, num_features: int) -> None:
        """Check nothing: the function itself fails if it does not take that many features."""

    def with_parameters(self, parameters: tuple[Tensor, ...]) -> "FunctionHead":
        return FunctionHead(self.function, self.num_states, parameters)

    def logits(self, rows: Float[Tensor, "row hidden"], out: Float[Tensor, "row state"]) -> None:
        logits = self.function(rows, *self.parameters)
        check_shape("logits of the head's function", logits, tuple(out.shape), "row, state")
        out.copy_(logits)

    def backward(
        self,
        rows: Float[Tensor, "row hidden"],
        grad_logits: Float[Tensor, "row state"],
        needs: tuple[bool, ...],
        grads: tuple[Tensor | None, ...],
    ) -> Float[Tensor, "row hidden"] | None:
        leaves = [
            tensor.detach().requires_grad_(need)
            for tensor, need in zip((rows, *self.parameters), needs, strict=True)
        ]
        with torch.enable_grad():
            logits = self.function(*leaves)
        wanted = [leaf for leaf, need in zip(leaves, needs, strict=True) if need]
        grad_logits = grad_logits.to(logits.dtype)
        found = iter(torch.autograd.grad(logits, wanted, grad_logits, materialize_grads=True))
        grad_rows = next(found) if needs[0] else None
        for grad in grads:
            if grad is not None:
                grad.add_(next(found))
        return grad_rows


def _product(a: Tensor, b: Tensor, out: Tensor) -> None:
    """Write a @ b to `out`. Sums are in the dtype of `out`, which may be wider than a and b."""
    if a.dtype == b.dtype == out.dtype:
        torch.mm(a, b, out=out)
    elif a.is_cuda:  # tensor cores multiply narrow factors and sum in the wide dtype
        torch.mm(a, b, out_dtype=out.dtype, out=out)
    else:
        torch.mm(a.to(out.dtype), b.to(out.dtype), out=out)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to `total`. Sums are in the dtype of `total`."""
    if a.dtype == b.dtype == total.dtype:
        total.addmm_(a, b)
    elif a.is_cuda:
        total.add_(torch.mm(a, b, out_dtype=total.dtype))
    else:
        total.addmm_(a.to(total.dtype), b.to(total.dtype))
