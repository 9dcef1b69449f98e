"""The JSON record of the miniatures: rows, shown samples and manifests of one miniature each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from full_scale.miniatures.base import Miniature
from full_scale.miniatures.reading import Recorded, read_record
from full_scale.miniatures.study import DATA_RECIPE, Study
from full_scale.miniatures.table import long_frame, means
from reporting import write_json

LEVELS = 16
"""Grey levels of the pictures in the record; a pixel is one hexadecimal digit."""


def write_record(
    path: Path,
    study: Study,
    rows: Sequence[Mapping[str, Any]],
    about: Mapping[str, Any],
    *,
    add: bool = False,
) -> None:
    """Put a study into a JSON file. Other miniatures in the file stay.

    Other recipes of the same miniature stay if their teacher, part and number of samples are those
    of this study. Samples are shown for the teacher and for the first seed of pure distillation.

    Args:
        path: file to write.
        study: what was studied.
        rows: its rows.
        about: manifest of this call.
        add: whether the students and the teacher's samples are added to those of other seeds; then
            all other rows, the shown samples and the sweep stay.

    Raises:
        ValueError: If the file holds something else, or nothing to add to; it is left as it is.
    """
    miniature = study.miniature
    name, pure = miniature.name, miniature.recipes[0]
    everything, before = read_record(path, miniature)
    if add:
        before = record_to_add_to(path, study)
        # The teacher's samples of a seed are always the same. The record's rows also show some.
        there = {_place(row, add) for row in before["rows"] if row["model"] in ("data", "teacher")}
        rows = [row for row in rows if _place(row, add) not in there]
    elif before is not None and _differing(before, study):
        before = None
    own = {_place(row, add) for row in rows}
    others = [row for row in before["rows"] if _place(row, add) not in own] if before else []
    manifests, sweep = (before["manifests"], before["sweep"]) if before else ({}, None)
    shown = None if add else study.seeds[0]
    kept = [_kept(miniature, row, pure, shown) for row in rows]
    together = others + kept if add else kept + others
    if pure in study.recipes and study.share == 1 and not add:
        sweep = study.sweep(pure)
        sweep["samples"] = [_as_shown(miniature, line)[0] for line in sweep["samples"]]
    trained = dict.fromkeys(row["recipe"] for row in rows if row["recipe"] != DATA_RECIPE)
    earlier = manifests if add else {}
    everything[name] = _settings(study) | {
        "main": miniature.main,
        "better": miniature.metrics[miniature.main],
        "pure": pure,
        "image_shape": _image_shape(miniature, rows),
        "manifests": manifests | {key: [*earlier.get(key, []), dict(about)] for key in trained},
        "summary": _summary(miniature, together),
        "rows": together,
        "sweep": sweep,
    }
    write_json(path, {"miniatures": everything})


def record_to_add_to(path: Path, study: Study) -> Recorded:
    """What a record holds of the miniature, for more seeds.

    Raises:
        ValueError: If it holds nothing of it, or rows that cannot be compared with those of the
            study; names what differs.
    """
    before = read_record(path, study.miniature)[1]
    if before is None:
        raise ValueError(f"{path} has nothing of {study.miniature.name} to add to; omit --add")
    if differing := _differing(before, study):
        raise ValueError(f"{path} has another {differing}; omit --add to measure everything again")
    return before


def _settings(study: Study) -> dict[str, Any]:
    """What rows must agree in to be compared."""
    settings = {"part": study.part, "samples": study.size.samples, "quick": study.size.quick}
    return settings | {"teacher_sha256": study.teacher.sha256}


def _differing(before: Recorded, study: Study) -> str:
    """The settings in which a record differs from a study, as text."""
    return ", ".join(key for key, value in _settings(study).items() if before[key] != value)


def _place(row: Mapping[str, Any], add: bool) -> tuple[Any, ...]:
    """What a row replaces in the record: rows of its recipe, or of its recipe and seed."""
    return (row["recipe"], row["seed"]) if add else (row["recipe"],)


def _kept(
    miniature: Miniature, row: Mapping[str, Any], pure: str, seed: int | None
) -> dict[str, Any]:
    """A row as the record keeps it. Teacher and student of this seed keep their shown samples."""
    kept = {key: row[key] for key in ("recipe", "model", "nfe", "seed", *miniature.metrics)}
    teacher = row["model"] == "teacher"
    if row["seed"] == seed and (teacher or (row["model"], row["recipe"]) == ("student", pure)):
        kept["shown"] = _as_shown(miniature, row["shown"])[0]
    return kept


def _as_shown(miniature: Miniature, shown: list[str]) -> tuple[list[str], tuple[int, int] | None]:
    """Samples as text, or as images with one hexadecimal digit for each pixel; and their shape."""
    if miniature.pictures is None:
        return shown, None
    images = miniature.pictures(shown)
    levels = np.rint(np.clip(images, 0, 1) * (LEVELS - 1)).astype(int)
    texts = ["".join(f"{level:x}" for level in image.ravel()) for image in levels]
    return texts, (images.shape[1], images.shape[2])


def _image_shape(miniature: Miniature, rows: Sequence[Mapping[str, Any]]) -> tuple[int, int] | None:
    """Height and width of the pictures; None for text."""
    return _as_shown(miniature, next(row["shown"] for row in rows if "shown" in row))[1]


def _summary(miniature: Miniature, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means of the main metric over seeds, with intervals and equivalent steps."""
    return [
        {
            "recipe": line.recipe,
            "model": line.model,
            "nfe": line.nfe,
            "mean": line.mean,
            "interval": line.interval,
            "equivalent": line.equivalent and line.equivalent.steps,
            "bound": line.equivalent and line.equivalent.bound,
        }
        for line in means(long_frame(miniature, rows))
        if line.metric == miniature.main
    ]
