"""A small result of `full_scale.digits` with invented distances, for tests of tables and figure."""

from full_scale.digits import compare, summarise

SAMPLE = "0" * 63 + "g"
"""An image of 64 pixels as text: all are white except the last one, which is black."""


def _rows():
    for seed in (0, 1):
        for model, steps in [("teacher", 1), ("teacher", 2), ("teacher", 4), ("student", 1)]:
            yield _row(seed, model, steps, 4.0 / steps + 0.5 * seed)
        yield _row(seed, "student", 2, 0.5 + seed)
        yield _row(seed, "hybrid", 2, 1.0)


def _row(seed, model, steps, frechet):
    return {
        "seed": seed,
        "model": model,
        "steps": steps,
        "frechet": frechet,
        "training_share": 0.5,
        "samples": [SAMPLE] * 3,
    }


def digits_result():
    """Rows of two seeds with their summary and comparison, as the command writes them."""
    rows = list(_rows())
    return {"floor": 0.25, "summary": summarise(rows), "comparison": compare(rows), "rows": rows}
