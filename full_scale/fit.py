"""Whether weights fit a network: everything there, nothing left over, no other shapes."""

from collections.abc import Iterable, Mapping

from torch import Tensor

_SHOWN = 6


class Misfit(ValueError):
    """Weights that do not fit.

    Attributes:
        missing: names that the network has and the weights have not.
        unexpected: names that only the weights have.
        other_shapes: names that both have, with both shapes.
    """

    def __init__(
        self, what: str, missing: list[str], unexpected: list[str], other_shapes: list[str]
    ) -> None:
        self.missing, self.unexpected = missing, unexpected
        self.other_shapes = other_shapes
        findings = {
            "missing": missing,
            "unexpected": unexpected,
            "of another shape": other_shapes,
        }
        lists = (f"{name}: {_shown(names)}" for name, names in findings.items() if names)
        super().__init__(f"{what}; {'; '.join(lists)}")


def check_fit(what: str, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Misfit unless both have the same names and shapes.

    Args:
        what: how the message begins, e.g. "teacher_state does not fit the student".
        wanted: the network's.
        given: the weights.
    """
    other_shapes = [
        f"{name} {tuple(given[name].shape)} for {tuple(wanted[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    if missing or unexpected or other_shapes:
        raise Misfit(what, missing, unexpected, other_shapes)


def _shown(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
