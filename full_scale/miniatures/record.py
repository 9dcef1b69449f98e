"""The JSON record of the miniatures: rows, shown samples and manifests of one miniature each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from full_scale.miniatures.base import Miniature
from full_scale.miniatures.reading import read_record
from full_scale.miniatures.study import DATA_RECIPE, Study
from full_scale.miniatures.table import long_frame, means
from reporting import write_json

LEVELS = 16
"""Grey levels of the pictures in the record; a pixel is one hexadecimal digit."""


def write_record(
    path: Path, study: Study, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> None:
    """Put a study into a JSON file. Other miniatures in the file stay.

    Other recipes of the same miniature stay if their teacher, part and number of samples are those
    of this study. Samples are shown for the teacher and for the first seed of pure distillation.

    Args:
        path: file to write.
        study: what was studied.
        rows: its rows.
        about: manifest of this call.

    Raises:
        ValueError: If the file holds something else; it is left as it is.
    """
    miniature = study.miniature
    name, pure = miniature.name, miniature.recipes[0]
    everything, before = read_record(path, miniature)
    same = {"part": study.part, "samples": study.size.samples, "quick": study.size.quick}
    same |= {"teacher_sha256": study.teacher.sha256}
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    others, manifests, sweep = [], {}, None
    if before and all(before[key] == value for key, value in same.items()):
        others = [row for row in before["rows"] if row["recipe"] not in recipes]
        manifests, sweep = before["manifests"], before["sweep"]
    kept = [_kept(miniature, row, pure, study.seeds[0]) for row in rows]
    together = kept + others
    if pure in study.recipes and study.share == 1:
        sweep = study.sweep(pure)
        sweep["samples"] = [_as_shown(miniature, line)[0] for line in sweep["samples"]]
    trained = [recipe for recipe in recipes if recipe != DATA_RECIPE]
    everything[name] = same | {
        "main": miniature.main,
        "better": miniature.metrics[miniature.main],
        "pure": pure,
        "image_shape": _image_shape(miniature, rows),
        "manifests": manifests | {recipe: dict(about) for recipe in trained},
        "summary": _summary(miniature, together),
        "rows": together,
        "sweep": sweep,
    }
    write_json(path, {"miniatures": everything})


def _kept(miniature: Miniature, row: Mapping[str, Any], pure: str, seed: int) -> dict[str, Any]:
    """A row as the record keeps it."""
    kept = {key: row[key] for key in ("recipe", "model", "nfe", "seed", *miniature.metrics)}
    teacher = row["model"] == "teacher"
    if teacher or (row["model"], row["recipe"], row["seed"]) == ("student", pure, seed):
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
