"""The JSON record of the miniatures: rows, shown samples and manifests of one miniature each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from full_scale.miniatures.base import Miniature
from full_scale.miniatures.study import DATA_RECIPE, Study
from full_scale.miniatures.table import long_frame, means
from reporting import read_json, write_json

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
    """
    miniature = study.miniature
    name, pure = miniature.name, miniature.recipes[0]
    everything = _before(path)
    same = {"part": study.part, "samples": study.size.samples, "quick": study.size.quick}
    same |= {"teacher_sha256": study.teacher.sha256}
    before = everything.get(name, {})
    if any(before.get(key) != value for key, value in same.items()):
        before = {}
    recipes = list(dict.fromkeys(row["recipe"] for row in rows))
    others = [row for row in before.get("rows", []) if row["recipe"] not in recipes]
    kept = [_kept(miniature, row, pure, study.seeds[0]) for row in rows]
    together = kept + others
    sweep = before.get("sweep")
    if pure in study.recipes and study.share == 1:
        sweep = study.sweep(pure)
        sweep["samples"] = [_as_shown(miniature, line)[0] for line in sweep["samples"]]
    trained = [recipe for recipe in recipes if recipe != DATA_RECIPE]
    manifests = before.get("manifests", {}) | {recipe: dict(about) for recipe in trained}
    everything[name] = same | {
        "main": miniature.main,
        "better": miniature.metrics[miniature.main],
        "pure": pure,
        "image_shape": _image_shape(miniature, rows),
        "manifests": manifests,
        "summary": _summary(miniature, together),
        "rows": together,
        "sweep": sweep,
    }
    write_json(path, {"miniatures": everything})


def _before(path: Path) -> dict[str, Any]:
    """What the file holds; nothing if it is not a record of miniatures."""
    try:
        return dict(read_json(path)["miniatures"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


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
