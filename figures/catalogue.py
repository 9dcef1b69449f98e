"""Every picture by name: the records that it shows, the commands that make them, what draws it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from figures import (
    ablation,
    data_shares,
    figure1,
    figure3,
    figure4,
    latency,
    latent_batch,
    load,
    miniatures,
    table1,
    theorem1,
    theorem2,
    training,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Record = dict[str, Any]


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        needs: the command that makes each record.
        draw: turns the folder of the records into a figure.
    """

    needs: Mapping[str, str]
    draw: Callable[[Path], "Figure"]


def of_module(module: ModuleType) -> Picture:
    """The picture of a module of this package, which has `NEEDS` and `draw`."""
    return Picture(module.NEEDS, module.draw)


def of_record(file: str, command: str, *keys: str, draw: Callable[[Record], "Figure"]) -> Picture:
    """A picture of one record, drawn by the code of the toy that wrote it.

    Args:
        file: name of the record.
        command: what makes it, without --json.
        *keys: what the record must have.
        draw: turns the record into a figure.
    """
    needs = {file: f"{command} --json results/{file}"}
    return Picture(needs, lambda results: draw(load(results, file, *keys)))


# The functions below import what they need when they draw: toys load torch, which is slow.
def _two_dim(record: Record) -> "Figure":
    from toys.pictures.curves import draw_two_dim
    from toys.two_dim_tv import describe

    return draw_two_dim(record, describe(record))


def _digit_patches(record: Record) -> "Figure":
    from toys.pictures.curves import draw_patches

    return draw_patches(record)


def _letter_windows(record: Record) -> "Figure":
    from toys.pictures.curves import draw_windows

    return draw_windows(record)


def _components(record: Record) -> "Figure":
    from toys.pictures.laws import draw_components

    return draw_components(record["laws"])


def _leaderboard(record: Record) -> "Figure":
    from toys.pictures.benchmark import draw_leaderboard

    return draw_leaderboard(record)


def _leaderboard_panels(record: Record, process: str) -> "Figure":
    from toys.pictures.benchmark import draw_leaderboard_panels

    return draw_leaderboard_panels(record, process)


SHOWN = (
    *(("data", 0), ("teacher", 1), ("teacher", 4), ("confidence", 2), ("sdtt", 1)),
    *(("published", 1), ("di4c", 1), ("di4c-d", 1)),
)
"""Methods of the picture of two-dimensional laws, each with its number of network calls."""


def _laws(record: Record) -> "Figure":
    """Heat maps of the laws that methods generate: one row per task, one column per method."""
    from toys.pictures.laws import draw_laws

    order = {kind: place for place, kind in enumerate(SHOWN)}
    laws = [law for law in record["laws"] if (law["method"], law["nfe"]) in order]
    laws.sort(key=lambda law: order[law["method"], law["nfe"]])
    titles = {law["task"]: record["tasks"][law["task"]] for law in laws}
    return draw_laws(laws, titles)


PROCESSES = ("masked", "uniform", "absorbing", "ctmc")
_TWO_DIM = ("process", "theta", "p0", "rate", "rates", "schedule", "horizon", "grid", "start")
_LEADERBOARD = (
    *("leaderboard.json", "python toys/leaderboard.py --csv results/leaderboard.csv"),
    *("rows", "tasks", "summary"),
)

FIGURES = {
    "figure1": of_module(figure1),
    "theorem1": of_module(theorem1),
    "theorem2": of_module(theorem2),
    **{
        f"two_dim_tv_{process}": of_record(
            f"two_dim_tv_{process}.json",
            f"python toys/two_dim_tv.py --process {process}",
            *(*_TWO_DIM, "rows", "limit"),
            draw=_two_dim,
        )
        for process in PROCESSES
    },
    "digit_patches": of_record(
        "digit_patches.json", "python toys/digit_patches.py", "laws", draw=_digit_patches
    ),
    "letter_windows": of_record(
        "letter_windows.json", "python toys/letter_windows.py", "laws", draw=_letter_windows
    ),
    "leaderboard": of_record(*_LEADERBOARD, draw=_leaderboard),
    "leaderboard_masked": of_record(
        *_LEADERBOARD, draw=partial(_leaderboard_panels, process="masked")
    ),
    "leaderboard_uniform": of_record(
        *_LEADERBOARD, draw=partial(_leaderboard_panels, process="uniform")
    ),
    "pictures": of_record(
        "pictures.json",
        "python toys/leaderboard.py --task checkerboard moons digit32 --process masked "
        "--seeds 1 --method teacher confidence sdtt published di4c di4c-d --laws",
        *("laws", "tasks"),
        draw=_laws,
    ),
    "ablation": of_module(ablation),
    "components": of_record(
        "components.json", "python toys/components.py", "laws", draw=_components
    ),
    "latent_batch": of_module(latent_batch),
    "table1": of_module(table1),
    "figure3": of_module(figure3),
    "figure4": of_module(figure4),
    "latency": of_module(latency),
    "training": of_module(training),
    **{
        name: Picture(miniatures.needs(name), partial(miniatures.draw, name=name))
        for name in miniatures.RECORDED
    },
    "data_shares": of_module(data_shares),
}
