"""The methods of the benchmark: one file each, and one line each here.

The functions take a `Problem` and the numbers of network evaluations asked for, and yield an
`Output` with the exact law for each (`toys.methods.base`).
"""

from toys.methods import teacher
from toys.methods.base import Method

METHODS: dict[str, Method] = {
    "teacher": Method("exact product teacher, uniform grid", teacher.outputs),
}


def find_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ValueError: If there is none; lists those that there are.
    """
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]
