"""From a position's features to its logits: the transform that a recipe asks for, and the heads.

Both are data. A recipe is a value of `LogitsTransform`, not a copy of the code; a head is what
turns (rows, H) features into (rows, S) logits and knows how to send gradients back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from di4c.likelihood.checks import check_shape


@dataclass(frozen=True)
class LogitsTransform:
    r"""What happens between the logits and the softmax.

    Attributes:
        soft_cap: c of $z \mapsto c \tanh(z / c)$, or None.
        excluded_states: states that cannot occur (their logit becomes -inf): a mask state.
        given: coordinates that are known, as the state that they have, -1 where they are to be
            predicted. They become point masses and send no gradient. (B, D), or (B, L, D) if each
            latent has its own $x_t$.
    """

    soft_cap: float | None = None
    excluded_states: tuple[int, ...] = ()
    given: Int[Tensor, "batch *latent dim"] | None = None

    def __post_init__(self) -> None:
        """Check what arrived."""
        if self.soft_cap is not None and not self.soft_cap > 0:
            raise ValueError(
                f"soft_cap must be positive; got {self.soft_cap}: None switches it off"
            )
        if len(set(self.excluded_states)) < len(self.excluded_states):
            raise ValueError(f"excluded_states must be distinct; got {self.excluded_states}")
        if self.given is not None and self.given.ndim not in (2, 3):
            raise ValueError(
                f"given must have shape (batch, dim) or (batch, latent, dim); got "
                f"{tuple(self.given.shape)}"
            )

    @classmethod
    def subs(
        cls, x_t: Int[Tensor, "batch *latent dim"], mask_state: int, soft_cap: float | None = None
    ) -> "LogitsTransform":
        """The masked parametrisation: no mask in x_0, and unmasked coordinates carry over.

        Source: the SUBS parametrisation of MDLM (Sahoo et al., NeurIPS 2024).
        """
        return cls(soft_cap, (mask_state,), torch.where(x_t == mask_state, -1, x_t))

    def check(self, batch: int, num_latents: int, num_dims: int, num_states: int) -> None:
        """ValueError unless the transform fits logits of shape (B, L, D, S)."""
        for state in self.excluded_states:
            if not 0 <= state < num_states:
                raise ValueError(
                    f"excluded_states must be in 0..{num_states - 1}; got {state}: count the "
                    "mask state among the states of the head"
                )
        if self.given is not None:
            per_latent = self.given.ndim == 3
            shape = (batch, num_latents, num_dims) if per_latent else (batch, num_dims)
            axes = "batch, latent, dim" if per_latent else "batch, dim"
            check_shape("given", self.given, shape, axes)

    def log_probs(
        self, logits: Float[Tensor, "batch latent dim state"]
    ) -> Float[Tensor, "batch latent dim state"]:
        """The log-probabilities of all states in float32 or wider, differentiable in the logits."""
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
        # Known coordinates are taken out before the softmax: theirs may be without any state.
        log_probs = torch.where(open_, logits, 0.0).log_softmax(-1)
        return torch.where(open_, log_probs, log_point_mass(given, num_states).to(log_probs))


def log_point_mass(state: Int[Tensor, "*rows"], num_states: int) -> Float[Tensor, "*rows state"]:
    """Log-probabilities of the point mass on each state: 0 there, -inf elsewhere."""
    states = torch.arange(num_states, device=state.device)
    return torch.where(states == state[..., None], 0.0, -torch.inf)


@runtime_checkable  # beartype checks arguments against it in tests
class Head(Protocol):
    """The map from features to logits, position by position."""

    @property
    def num_states(self) -> int:
        """Number of states S."""
        ...

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The tensors that gradients flow to."""
        ...

    def check(self, num_features: int) -> None:
        """ValueError unless the head takes that many features."""
        ...

    def with_parameters(self, parameters: tuple[Tensor, ...]) -> "Head":
        """The same head on other tensors."""
        ...

    def logits(self, rows: Float[Tensor, "row hidden"], out: Float[Tensor, "row state"]) -> None:
        """Write the logits of the rows to `out`."""
        ...

    def backward(
        self,
        rows: Float[Tensor, "row hidden"],
        grad_logits: Float[Tensor, "row state"],
        needs: tuple[bool, ...],
        grads: tuple[Tensor | None, ...],
    ) -> Float[Tensor, "row hidden"] | None:
        """Add the gradients of the parameters to `grads`, return that of the rows.

        Args:
            rows: features.
            grad_logits: gradient with respect to the logits; may be overwritten.
            needs: for the rows and then each parameter, whether a gradient is wanted.
            grads: one buffer for each parameter, None where it is not wanted.
        """
        ...


@dataclass(frozen=True)
class LinearHead:
    """Logits $W h + b$.

    The product runs in the dtype of the features (W is cast to it, as autocast would) and
    accumulates in float32 or wider, and so does the gradient of W over all chunks.

    Attributes:
        weight: (S, H).
        bias: (S,), or None.
    """

    weight: Float[Tensor, "state hidden"]
    bias: Float[Tensor, "state"] | None = None

    @property
    def num_states(self) -> int:
        """See Head.num_states."""
        return self.weight.shape[0]

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """See Head.parameters."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def check(self, num_features: int) -> None:
        """See Head.check."""
        if self.weight.ndim != 2 or self.weight.shape[1] != num_features:
            raise ValueError(
                f"weight must have shape (state, feature) = (any, {num_features}) like hidden; got "
                f"{tuple(self.weight.shape)}"
            )
        if self.bias is not None:
            check_shape("bias", self.bias, (self.num_states,), "state")

    def with_parameters(self, parameters: tuple[Tensor, ...]) -> "LinearHead":
        """See Head.with_parameters."""
        return LinearHead(*parameters)

    def logits(self, rows: Float[Tensor, "row hidden"], out: Float[Tensor, "row state"]) -> None:
        """See Head.logits."""
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
        """See Head.backward."""
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

    The function is called on a few rows at a time, again in the backward pass, outside autocast,
    and must treat every row alike. It must not depend on tensors that need gradients except
    through its arguments.

    Attributes:
        function: (rows (R, H), *parameters) -> logits (R, S), differentiable.
        num_states: S.
        parameters: tensors passed to the function that gradients flow to.
    """

    function: Callable[..., Tensor]
    num_states: int
    parameters: tuple[Tensor, ...] = ()

    def check(self, num_features: int) -> None:
        """See Head.check; what the function takes shows when it is called."""

    def with_parameters(self, parameters: tuple[Tensor, ...]) -> "FunctionHead":
        """See Head.with_parameters."""
        return FunctionHead(self.function, self.num_states, parameters)

    def logits(self, rows: Float[Tensor, "row hidden"], out: Float[Tensor, "row state"]) -> None:
        """See Head.logits."""
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
        """See Head.backward."""
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
    """Write a @ b to out, accumulated in its dtype, which may be wider than that of a and b."""
    if a.dtype == b.dtype == out.dtype:
        torch.mm(a, b, out=out)
    elif a.is_cuda:  # tensor cores take the narrow factors and give the wide sum
        torch.mm(a, b, out_dtype=out.dtype, out=out)
    else:
        torch.mm(a.to(out.dtype), b.to(out.dtype), out=out)


def _add_product(total: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to total, accumulated in its dtype."""
    if a.dtype == b.dtype == total.dtype:
        total.addmm_(a, b)
    elif a.is_cuda:
        total.add_(torch.mm(a, b, out_dtype=total.dtype))
    else:
        total.addmm_(a.to(total.dtype), b.to(total.dtype))
