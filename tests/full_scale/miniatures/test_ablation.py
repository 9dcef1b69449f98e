"""The ablation of the recipe of words, with a tiny network and two steps."""

from dataclasses import replace

import pytest

from full_scale.miniatures import ablation
from full_scale.miniatures.ablation import BASE, CALLS, CHANGES, RUN, main
from full_scale.models.presets import PRESETS
from full_scale.training.recipes import OWN, RECIPES, WORDS
from reporting import read_json
from tests.helpers.refusals import assert_refused

REAL, KEPT = "real data", "latent kept for all calls (the recipe words)"


def test_every_change_changes_something():
    run, network = RUN, PRESETS["words"].network
    seen = []
    for change in CHANGES.values():
        parts = (
            replace(OWN, **change.recipe),
            replace(run, **change.run),
            replace(network, **change.network),
        )
        assert parts not in seen
        seen.append(parts)
    assert replace(OWN, **CHANGES[KEPT].recipe) == WORDS
    assert seen[0] == (OWN, run, network)


@pytest.fixture
def cheap(tiny, teacher, monkeypatch):
    """A shipped teacher of the tiny network, and its samples."""
    monkeypatch.setattr(ablation, "shipped_teacher", lambda name: teacher)
    monkeypatch.setattr(ablation, "open_teacher", lambda name: None)
    data = replace(RUN.data, generated=30, generated_calls=2)
    run = replace(RUN, teacher=str(teacher), data=data)
    monkeypatch.setattr(ablation, "RUN", run)


def test_students_are_compared_with_the_base(cheap, tmp_path, monkeypatch, capsys):
    """The rows are in the order of their effect, and a second call trains nothing again."""
    trained, train = [], ablation.train

    def spy(run):
        trained.append(run)
        return train(run)

    monkeypatch.setattr(ablation, "train", spy)
    out, record = tmp_path / "runs", tmp_path / "found.json"
    options = ["--steps", "2", "--samples", "6", "--out", str(out), "--json", str(record)]
    main(["--changes", REAL, KEPT, *options])
    assert [run.data.generated for run in trained] == [30, 0, 30]
    assert [run.steps for run in trained] == [2, 2, 2]
    found = read_json(record)
    rows = {row["change"]: row for row in found["rows"]}
    assert set(rows) == {BASE, REAL, KEPT}
    assert rows[BASE]["effect"] == 0
    for row in rows.values():
        difference = [row[f"letter_nll_{n}"] - rows[BASE][f"letter_nll_{n}"] for n in CALLS]
        assert row["effect"] == pytest.approx(sum(difference) / len(CALLS))
    effects = [row["effect"] for row in found["rows"]]
    assert effects == sorted(effects)
    assert not [name for name in RECIPES if name.startswith("ablation")]  # nothing is left behind

    printed = capsys.readouterr().out
    main(["--changes", REAL, KEPT, *options])
    assert len(trained) == 3
    assert capsys.readouterr().out == printed


def test_unknown_changes_are_refused(tmp_path):
    line = assert_refused(
        lambda: main(["--changes", "no start", "--out", str(tmp_path)]), "got no start$"
    )
    assert "no start term; " in line
