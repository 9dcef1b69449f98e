"""The charge for using a latent: against closed forms for 64 components, and on a real student."""

import math

import pytest
import torch
from scipy.stats import binom

from full_scale.miniatures.latent_charge import charges, main
from reporting import read_json
from tests.full_scale.miniatures.conftest import write_tiny

VALUES, DELTA, DIMS = 64, 0.05, 3


def components(pool):
    """Component k gives the value k probability 1 - delta in every coordinate."""
    one = torch.full((VALUES, VALUES), DELTA / (VALUES - 1), dtype=torch.float64)
    one.fill_diagonal_(1 - DELTA)
    own = one[torch.arange(pool) * VALUES // pool]
    return own[:, None].expand(-1, DIMS, -1).log()


def charge(count, size):
    """KL of one coordinate where `count` of `size` latents have each of VALUES components."""
    mean = (count * (1 - DELTA) + (size - count) * DELTA / (VALUES - 1)) / size
    return -math.log(VALUES * mean) / VALUES


def test_charges_of_equally_likely_components():
    """Stratified: every batch is the same. Independent: the counts are binomial, 5 sigma of 50."""
    found = charges(components(8192), torch.Generator().manual_seed(0))
    rows = {(row["latents"], row["stratified"]): row for row in found}
    assert list(rows) == [(size, own) for size in (16, 64, 256) for own in (False, True)]
    for (size, stratified), row in rows.items():
        if stratified:
            copies = max(1, size // VALUES)
            present = min(size, VALUES)
            per_coordinate = present * charge(copies, size)
            per_coordinate += (VALUES - present) * charge(0, size)
            tolerance = 1e-9
        else:
            counts = range(size + 1)
            law = binom.pmf(counts, size, 1 / VALUES)
            terms = [p * charge(n, size) for n, p in zip(counts, law, strict=True)]
            per_coordinate, tolerance = VALUES * sum(terms), 0.15
        assert row["marginal_charge"] == pytest.approx(DIMS * per_coordinate, abs=tolerance)
    assert rows[64, True]["joint_bias"] == pytest.approx(0, abs=1e-9)


def test_gains_and_payments_are_weighted():
    """The total correlation of the law is a sum over all states."""
    [row, *_] = charges(components(8192), torch.Generator().manual_seed(0))
    own = components(64).exp()[:, 0]
    law = torch.einsum("ka,kb,kc->abc", own, own, own) / VALUES
    exact = float(torch.special.xlogy(law, law * VALUES**3).sum())  # the marginals are uniform
    assert row["total_correlation"] == pytest.approx(exact, abs=0.6)
    assert row["gains"] == pytest.approx(0.1 * row["total_correlation"])
    pays = 0.1 * row["joint_bias"] + 0.9 * row["marginal_charge"]
    assert row["pays"] == pytest.approx(pays)


def test_command_measures_a_student(tiny, tmp_path, capsys):
    """A student with random weights pays the less the more latents a batch has."""
    source = write_tiny(
        tmp_path / "student", student=True, run={"preset": "words", "recipe": "words"}
    )
    main([str(source), "--states", "2", "--json", str(tmp_path / "found.json")])
    assert "marginal charge" in capsys.readouterr().out
    rows = read_json(tmp_path / "found.json")["rows"]
    assert [row["miniature"] for row in rows] == ["words"] * 6
    independent = [row["marginal_charge"] for row in rows if not row["stratified"]]
    assert independent == sorted(independent, reverse=True)
    assert independent[-1] > 0


def test_a_teacher_is_refused(teacher):
    with pytest.raises(ValueError, match=r"RUN must be a student; .* is a teacher"):
        main([str(teacher)])
