"""Laws of real data by counting, and the scripts that show their curves."""

import json
import math

import pytest
import torch

from theory.tools import oracle
from toys import digit_patches, letter_windows
from toys.tasks import real_laws as data


def test_a_window_that_no_machine_holds_is_one_line():
    with pytest.raises(ValueError, match=r"300 letters would take 10\^4\d\d GiB"):
        letter_windows.main(["--length", "300"])


def test_patch_law_counts_every_patch_of_every_image():
    datasets = pytest.importorskip("sklearn.datasets")
    counts = {}
    for image in datasets.load_digits().images.tolist():
        for top in range(6):
            for left in range(6):
                patch = tuple(int(image[top + i][left + j] > 7) for i in range(3) for j in range(3))
                counts[patch] = counts.get(patch, 0) + 1
    law, num_dims = data.patch_law(3)
    assert num_dims == 9
    total = sum(counts.values())
    for index, patch in enumerate(oracle.all_states(9, 2)):
        assert float(law[index]) == pytest.approx(counts.get(patch, 0) / total, abs=1e-15)


def test_window_law_and_its_letters():
    law, length = data.window_law(2)
    assert length == 2
    assert float(law.sum()) == pytest.approx(1, abs=1e-12)
    assert data.window_text(int(law.argmax()), 2) in {"er", "in", "an", "on", "le", "st"}
    assert data.window_text(26 * 0 + 25, 2) == "az"


def test_three_by_three_patches_lose_what_is_published_for_orientation(tmp_path):
    path = tmp_path / "out.json"
    digit_patches.main(["--sizes", "3", "--steps", "1", "2", "4", "8", "16", "--json", str(path)])
    masked = json.loads(path.read_text())["laws"][0]["curves"][0]
    expected = [0.614, 0.325, 0.165, 0.083, 0.042]
    for row, value in zip(masked["rows"], expected, strict=True):
        assert row["tv"] == pytest.approx(value, abs=6e-4)
    # Richardson in 1/N: the predicted limit, from the recorded rows alone.
    earlier, later = (row["n_tv"] for row in masked["rows"][-2:])
    assert 2 * later - earlier == pytest.approx(masked["limit"], abs=2e-3)


def test_windows_of_two_letters(tmp_path):
    path = tmp_path / "out.json"
    letter_windows.main(["--length", "2", "--steps", "1", "2", "--json", str(path)])
    result = json.loads(path.read_text())["laws"][0]
    law = data.window_law(2)[0].reshape(26, 26)
    independent = torch.outer(law.sum(1), law.sum(0))
    expected = float((law - independent).abs().sum() / 2)
    assert result["curves"][0]["rows"][0]["tv"] == pytest.approx(expected, abs=1e-12)
    assert result["curves"][0]["rows"][1]["tv"] == pytest.approx(expected / 2, abs=1e-12)
    correlation = float(torch.special.xlogy(law, law / independent).nan_to_num().sum())
    assert result["total_correlation"] == pytest.approx(correlation, abs=1e-10)
    assert not math.isnan(result["curves"][0]["limit"])
