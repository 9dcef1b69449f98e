"""Checks of arguments. An error names the argument, what arrived, and the remedy.

Shapes are always checked. Values are checked if `validate` is on; each such check waits for the
device once. Under `torch.compile` values are not checked, because that would break the graph.
"""

import torch
from torch import Tensor

from di4c.checks import check_floating, check_states, first_index, require_tensor
from di4c.processes.state_space import StateSpace

# Largest allowed difference of a sum of probabilities from 1. It leaves room for the rounding of
# S = 50,000 terms and is too small for raw logits to pass.
_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
_HALF_TOLERANCE = 3e-2
_LOG_TOLERANCE = _TOLERANCE | {torch.bfloat16: 4e-2}  # rounding of -log 50,000 changes p by 3.2 %


def checks_values(validate: bool) -> bool:
    """Whether values are to be checked."""
    return validate and not torch.compiler.is_compiling()


def coarsest(*dtypes: torch.dtype) -> torch.dtype:
    """The least precise of some float types."""
    return max(dtypes, key=lambda dtype: torch.finfo(dtype).eps)


def check_shape(
    name: str, tensor: Tensor, expected: tuple[int, ...], axes: str, remedy: str = ""
) -> None:
    """Raise ValueError unless the tensor has the expected shape, TypeError if it is no tensor.

    Args:
        name: what to call the tensor in the error.
        tensor: the tensor.
        expected: its shape; -1 stands for any size but zero.
        axes: names of the axes, for the error.
        remedy: what the error advises; by default it follows from the shape.
    """
    require_tensor(name, tensor)
    shape = tuple(tensor.shape)
    fits = len(shape) == len(expected) and all(
        size == want or (want == -1 and size > 0)
        for size, want in zip(shape, expected, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if want == -1 else str(want) for want in expected)
        remedy = remedy or ("fill the empty axis" if 0 in shape else "check the order of the axes")
        raise ValueError(f"{name} must have shape ({axes}) = ({wanted}); got {shape}: {remedy}")


def check_not_nan(name: str, values: Tensor) -> None:
    """Raise ValueError if a value is NaN, and name the first one."""
    bad = values.isnan()
    if bool(bad.any()):
        index = list(first_index(bad))
        raise ValueError(f"{name} is nan at index {index}: look for an overflow in the network")


def check_data(name: str, x: Tensor, process: StateSpace) -> None:
    """Raise ValueError unless x (B, D) holds values that data can take."""
    check_shape(name, x, (-1, -1), "batch, dim")
    remedy = "look for tokens of another vocabulary; give positions marked by -100 any value, and "
    check_states(name, x, process.num_states, remedy + "valid=False")
    masked = x == process.mask_state
    if process.mask_state is not None and bool(masked.any()):
        index = list(first_index(masked))
        raise ValueError(
            f"{name} must be values that data can take; got the mask {process.mask_state} at index "
            f"{index}: replace masks by data before training"
        )


def check_log_probs(
    name: str, log_probs: Tensor, remedy: str = "", precision: torch.dtype | None = None
) -> None:
    """Raise ValueError unless the probabilities over the last axis sum to 1.

    The tolerance follows the precision that the values come from. Values in float32 that were
    computed in half precision keep its rounding. They are recognised where each of them is a number
    of that type.

    Args:
        name: what to call the tensor in the error.
        log_probs: log-probabilities.
        remedy: what the error advises.
        precision: dtype of the numbers from which the values were computed, if it is a lower one.
    """
    check_floating(name, log_probs)
    rows = log_probs.detach().flatten(0, -2)
    # Check in pieces, so that the check needs less memory than the tensor itself.
    pieces = rows.split(max(1, 2**22 // rows.shape[-1]))
    totals = torch.cat([piece.exp().sum(-1, dtype=_wide(rows.dtype)) for piece in pieces])
    tolerance = _log_tolerance(coarsest(rows.dtype, precision or rows.dtype))
    bad = ~((totals - 1).abs() <= tolerance)  # a NaN is bad too
    if bool(bad.any()) and (dtype := _half_source(rows)) is not None:
        bad = ~((totals - 1).abs() <= _log_tolerance(dtype))
    if not bool(bad.any()):
        return
    row = first_index(bad)[0]
    place = [int(i) for i in torch.unravel_index(torch.tensor(row), log_probs.shape[:-1])]
    if bool(rows[row].isnan().any()):
        state = first_index(rows[row].isnan())[0]
        raise ValueError(
            f"{name} is nan at index {[*place, state]}: look for an overflow in the network that "
            "made it"
        )
    raise ValueError(
        f"{name} must be log-probabilities; the probabilities at index {place} sum to "
        f"{float(totals[row]):.6g}: {remedy or 'apply log_softmax over the last axis'}"
    )


def check_weights(
    name: str, weights: Tensor, remedy: str, precision: torch.dtype | None = None
) -> None:
    """Raise ValueError unless the weights are non-negative and sum to 1 over the last axis.

    Args:
        name: what to call the tensor in the error.
        weights: the weights.
        remedy: what the error advises.
        precision: see `check_log_probs`.
    """
    total = weights.detach().sum(-1, dtype=_wide(weights.dtype))
    dtype = coarsest(weights.dtype, precision or weights.dtype)
    tolerance = _TOLERANCE.get(dtype, _HALF_TOLERANCE)
    if bool(((total - 1).abs() <= tolerance).all()) and not bool((weights < 0).any()):
        return
    worst = float(total.reshape(-1)[(total - 1).abs().argmax()])
    raise ValueError(
        f"{name} must be non-negative and sum to 1; the sum is {worst:.6g}, the smallest "
        f"{float(weights.min()):.6g}: {remedy}"
    )


def _log_tolerance(dtype: torch.dtype) -> float:
    return _LOG_TOLERANCE.get(dtype, _HALF_TOLERANCE)


def _half_source(values: Tensor) -> torch.dtype | None:
    """The half-precision type that holds each of these wider values exactly, if there is one."""
    for dtype in (torch.bfloat16, torch.float16):
        if values.element_size() > 2 and bool((values.to(dtype).to(values.dtype) == values).all()):
            return dtype
    return None


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
