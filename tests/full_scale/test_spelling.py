"""Scores of words by hand."""

import math
from itertools import product

import pytest

from full_scale.data import words as data
from full_scale.evaluation.spelling import METRICS, LetterModel, score


def test_letter_model_by_hand():
    """The words ab, aa with one letter of context: counts of single letters and of pairs."""
    model = LetterModel(["ab", "aa"], context=1)
    # Without context: a 3 times, b once, the end twice; 6 symbols of 3 types, uniform is 1/28.
    a, b, end = ((n + 3 / 28) / (6 + 3) for n in (3, 1, 2))
    assert model.probability("a", "") == pytest.approx(a)
    # After a: a, b and the end, once each. After b: the end. At the start: a, twice.
    assert model.probability("b", "a") == pytest.approx((1 + 3 * b) / (3 + 3))
    assert model.probability(".", "b") == pytest.approx((1 + end) / (1 + 1))
    assert model.probability("a", "z") == pytest.approx(a)
    start = (2 + a) / (2 + 1)
    expected = -sum(map(math.log, (start, (1 + 3 * b) / 6, (1 + end) / 2))) / 3
    assert model.nll("ab") == pytest.approx(expected)


def test_letter_model_is_a_law():
    model = LetterModel(["cab", "cad", "bad"])
    symbols = [*data.ALPHABET, "."]
    for before in ("....", "..ca", "zzzz", "cab_"):
        assert sum(model.probability(s, before) for s in symbols) == pytest.approx(1)
    short = LetterModel(["ab", "ba", "a"], context=1)
    total = 0.0
    for length in range(3):
        for word in product(data.ALPHABET, repeat=length):
            total += math.exp(-short.nll("".join(word)) * (length + 1))
    assert 0.7 < total < 0.8  # longer words have the rest


def test_scores_by_hand():
    held_out, validation = data.part("test")[0], data.part("validation")[0]
    found = score(["house", "house", held_out, "qqq_qq", "zxzxzx"])
    assert {k: found[k] for k in list(METRICS)[:3]} == {
        "real_share": 3 / 5,
        "held_out_share": 1 / 5,
        "distinct_share": 4 / 5,
    }
    assert score([held_out, validation], "validation")["held_out_share"] == 1 / 2
    assert found.keys() == METRICS.keys()


def test_likely_letters_are_those_of_words():
    real, shuffled = data.part("test")[::50], ["".join(sorted(w)) for w in data.part("test")[::50]]
    assert score(real)["letter_nll"] < 2.3 < 3 < score(shuffled)["letter_nll"]
    assert score(real)["real_share"] == score(real)["distinct_share"] == 1
