"""The picture of quality over training."""

import json

from matplotlib import pyplot as plt

from figures import training
from figures.evaluations import FILE


def _row(step, fid, weights="raw", checkpoint=True):
    return {
        "experiment": "imagenet",
        "role": "student",
        "model": f"imagenet/step_{step:08d}",
        "weights": weights,
        "training_step": step,
        "checkpoint": checkpoint,
        "sampler": "confidence",
        "steps": 4,
        "teacher_steps": 0,
        "guidance": 6.0,
        "redraw": "per_step",
        "sampling_seed": 0,
        "num_samples": 5000,
        "few_samples": True,
        "metrics": {"fid": {"value": fid, "low": fid - 1, "high": fid + 1, "level": 0.95}},
    }


def test_checkpoints_are_points_along_the_training_steps(tmp_path):
    """Two lines, for raw and for averaged weights. A finished model is no point of them."""
    rows = [_row(10, 9.0), _row(5, 12.0), _row(5, 15.0, "averaged"), _row(20, 6.0, "raw", False)]
    (tmp_path / FILE).write_text("".join(json.dumps(row) + "\n" for row in rows))
    fig = training.draw(tmp_path)
    cifar10, imagenet, _ = fig.axes
    lines = {tuple(line.get_label().split(", ")): line for line in imagenet.containers}
    found = {
        label[1]: [list(map(float, values)) for values in container[0].get_data()]
        for label, container in lines.items()
    }
    assert found == {"raw": [[5.0, 10.0], [12.0, 9.0]], "averaged": [[5.0], [15.0]]}
    assert cifar10.texts[0].get_text() == "no checkpoint\nevaluated yet"
    plt.close(fig)
