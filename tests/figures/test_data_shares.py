"""The picture of students that see a share of the data."""

import numpy as np
import pytest

from figures import BrokenResult, data_shares
from reporting import write_json
from tests.helpers.miniature_record import miniature_record


def test_shares_of_the_data_are_in_their_order(tmp_path):
    write_json(tmp_path / "miniatures.json", miniature_record())
    figure = data_shares.draw(tmp_path)
    panels = np.array(figure.axes).reshape(3, 3)  # a line for each miniature
    record = miniature_record()["miniatures"]["digits"]
    score = {(row["recipe"], row["nfe"]): row["feature_frechet"] for row in record["rows"]}
    for panel, calls in zip(panels[0], (1, 4, None), strict=True):
        teacher, pure, data, alone = panel.get_lines()
        for line, end in ((data, "-data"), (alone, "-data-alone")):
            shares = [f"digits{end}@0.1", f"digits{end}"]
            expected = [score[share, calls] if calls else 0.7 for share in shares]
            np.testing.assert_allclose(line.get_xdata(), [0.1, 1.0])
            np.testing.assert_allclose(line.get_ydata(), expected)
        for line, recipe in ((teacher, "digits-teacher"), (pure, "digits")):
            assert set(line.get_ydata()) == {score[recipe, calls] if calls else 0.7}
    memory = panels[2, 2]
    assert memory.get_ylabel() == "held-out words among real"
    assert {round(y, 6) for line in memory.get_lines() for y in line.get_ydata()} == {0.05}
    record = miniature_record()
    for own in record["miniatures"].values():
        own["rows"] = [row for row in own["rows"] if "@" not in row["recipe"]]
    write_json(tmp_path / "miniatures.json", record)
    with pytest.raises(BrokenResult, match="no students on shares of the data"):
        data_shares.draw(tmp_path)
