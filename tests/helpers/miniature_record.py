"""A record of the three miniatures with invented scores, for tests of tables and pictures."""

CALLS, TEACHER_CALLS = (1, 2, 4, 8), (1, 2, 4, 8, 16, 32, 64)
ENDS = ("", "-data", "-data-alone", "-product", "-published")


def miniature_record():
    """Two miniatures with images, the better the lower, and one with words."""
    shapes = {"digits": (8, 8), "mnist-tokens": (28, 28), "words": None}
    return {"miniatures": {name: _one(name, shape) for name, shape in shapes.items()}}


def _one(name, shape):
    lower = shape is not None
    teacher = {n: 8 / n if lower else n / 100 for n in TEACHER_CALLS}
    text = ["cab", "zebra"] * 5 if shape is None else ["0f" * (shape[0] * shape[1] // 2)] * 10
    summary = [_line("real data", "data", 0, 0.05 if lower else 1.0)]
    summary += [_line(f"{name}-teacher", "teacher", n, score, 1.0) for n, score in teacher.items()]
    for place, end in enumerate(ENDS):
        for kind in ("student", "hybrid"):
            summary += [
                _line(name + end, kind, n, teacher[n] * (0.4 + place / 10), 2.5, 0.01)
                for n in CALLS
            ]
    main = "feature_frechet" if lower else "real_share"
    shares = [
        _line(f"{name}{end}@0.1", "student", n, teacher[n] / 2)
        for end in ("-data", "-data-alone")
        for n in CALLS
    ]
    rows = [
        {key: line[key] for key in ("recipe", "model", "nfe")}
        | {"seed": 0, "shown": text, main: line["mean"]}
        | ({"training_share": 0.7} if lower else {"held_out_share": line["mean"] / 20})
        for line in summary + shares
        if line["model"] in ("teacher", "student")
    ]
    return {
        "main": main,
        "better": "lower" if lower else "higher",
        "pure": name,
        "image_shape": shape,
        "summary": summary,
        "rows": rows,
        "sweep": {"latents": [k / 9 for k in range(10)], "samples": [text] * 6},
    }


def _line(recipe, model, nfe, mean, equivalent=None, interval=None):
    line = {"recipe": recipe, "model": model, "nfe": nfe, "mean": mean, "interval": interval}
    return line | {"equivalent": equivalent, "bound": ""}
