"""Metrics compared with closed forms, scipy and second implementations."""

import itertools
import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from full_scale.evaluation import (
    FeatureMoments,
    bootstrap_interval,
    frechet_distance,
    inception_score,
    self_bleu,
    sequence_entropy,
)
from full_scale.evaluation.frechet import FrechetReference

SEEDS = st.integers(0, 2**32 - 1)


def _features(seed, count, size):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, size)) @ rng.normal(size=(size, size)))


def _sqrtm_distance(first, second):
    """The Frechet distance by scipy's matrix square root and numpy's covariance."""
    a, b = first.numpy(), second.numpy()
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c @ d)
    shift = a.mean(0) - b.mean(0)
    return shift @ shift + np.trace(c) + np.trace(d) - 2 * np.trace(root).real


class TestFrechet:
    @given(seed=SEEDS, size=st.integers(2, 6))
    def test_equals_the_schur_square_root(self, seed, size):
        first, second = _features(seed, 20, size), _features(seed + 1, 30, size) + 1
        value = frechet_distance(FeatureMoments.of(first), FeatureMoments.of(second))
        assert value == pytest.approx(_sqrtm_distance(first, second), rel=1e-8, abs=1e-8)

    @given(
        st.lists(
            st.tuples(*[st.floats(0.1, 3) for _ in range(2)], st.floats(-3, 3)),
            min_size=1,
            max_size=5,
        )
    )
    def test_independent_features_have_a_closed_form(self, rows):
        """For diagonal covariances: the sum of (mean difference)^2 + (sd difference)^2."""
        sd_1, sd_2, shift = (torch.tensor(column).double() for column in zip(*rows, strict=True))
        reference = FrechetReference(torch.zeros_like(shift), torch.diag(sd_1**2))
        other = FeatureMoments(2, shift, torch.diag(sd_2**2))  # N - 1 = 1
        expected = float((shift**2 + (sd_1 - sd_2) ** 2).sum())
        assert reference.distance(other) == pytest.approx(expected, rel=1e-10, abs=1e-10)

    def test_rank_one_covariances(self):
        """N(0, uu') and N(0, vv'): |u|^2 + |v|^2 - 2 |u.v|. The root of the product fails."""
        u, v = torch.tensor([1.0, 2.0, 2.0]).double(), torch.tensor([0.0, 3.0, -4.0]).double()
        reference = FrechetReference(torch.zeros(3).double(), torch.outer(u, u))
        moments = FeatureMoments(2, torch.zeros(3).double(), torch.outer(v, v))
        assert reference.distance(moments) == pytest.approx(9 + 25 - 2 * 2, abs=1e-6)

    def test_few_samples_of_many_features(self):
        """It is symmetric, and zero for equal sets, also with singular covariances."""
        first, second = (FeatureMoments.of(_features(s, 5, 40)) for s in (1, 2))
        there, back = frechet_distance(first, second), frechet_distance(second, first)
        assert there == pytest.approx(back, rel=1e-6)
        assert frechet_distance(first, first) == pytest.approx(0, abs=1e-4 * there)

    @given(seed=SEEDS, parts=st.lists(st.integers(1, 7), min_size=1, max_size=5))
    def test_moments_gathered_in_parts_are_those_of_the_whole(self, seed, parts):
        features = _features(seed, sum(parts) + 1, 3) + 100
        merged = FeatureMoments.of(features[:1])
        for part in features[1:].split(parts):
            merged = merged.merged(FeatureMoments.of(part))
        assert merged.count == len(features)
        np.testing.assert_allclose(merged.mean, features.numpy().mean(0), rtol=1e-12)
        expected = np.cov(features.numpy(), rowvar=False)
        np.testing.assert_allclose(merged.covariance, expected, atol=1e-9 * np.abs(expected).max())

    def test_gaussian_samples_approach_the_distance_of_their_laws(self):
        """With 20000 draws the estimate deviates by about 0.01; the bound is 0.1."""
        rng = np.random.default_rng(0)
        first = torch.from_numpy(rng.normal(0, 1, (20000, 3)))
        second = torch.from_numpy(rng.normal(1, 2, (20000, 3)))
        value = frechet_distance(FeatureMoments.of(first), FeatureMoments.of(second))
        assert value == pytest.approx(3 * (1 + 1), abs=0.1)

    def test_bad_features(self):
        good = FeatureMoments.of(_features(0, 4, 3))
        with pytest.raises(ValueError, match=r"features must have shape.*got \(3,\)"):
            FeatureMoments.of(torch.zeros(3))
        with pytest.raises(ValueError, match="NaN"):
            FeatureMoments.of(torch.tensor([[0.0, torch.nan]]))
        with pytest.raises(ValueError, match="size of the reference's, 3; got 2"):
            frechet_distance(good, FeatureMoments.of(_features(0, 4, 2)))
        with pytest.raises(ValueError, match="at least 2 samples"):
            frechet_distance(good, FeatureMoments.of(_features(0, 1, 3)))


class TestInceptionScore:
    @pytest.mark.parametrize("classes", [1, 2, 5])
    def test_clear_classes_in_equal_shares_count_the_classes(self, classes):
        logits = torch.full((10 * classes, 7), -1e4)
        logits[torch.arange(10 * classes), torch.arange(10 * classes) % classes] = 0
        assert inception_score(logits, 2 if classes < 5 else 1) == pytest.approx(classes)

    @given(seed=SEEDS, splits=st.integers(1, 4))
    def test_against_plain_loops(self, seed, splits):
        logits = np.random.default_rng(seed).normal(size=(11, 3))
        probs = [[math.exp(x) / sum(map(math.exp, row)) for x in row] for row in logits]
        scores = []
        for i in range(splits):
            part = probs[i * 11 // splits : (i + 1) * 11 // splits]
            mean = [sum(column) / len(part) for column in zip(*part, strict=True)]
            divergences = [
                sum(p * math.log(p / q) for p, q in zip(row, mean, strict=True)) for row in part
            ]
            scores.append(math.exp(sum(divergences) / len(part)))
        value = inception_score(torch.from_numpy(logits), splits)
        assert value == pytest.approx(sum(scores) / splits, rel=1e-12)

    def test_order_is_applied_before_the_splits(self):
        logits = torch.tensor([[0.0, -99.0]] * 2 + [[-99.0, 0.0]] * 2)
        assert inception_score(logits, 2) == pytest.approx(1)
        assert inception_score(logits, 2, torch.tensor([0, 2, 1, 3])) == pytest.approx(2)

    def test_too_many_splits(self):
        with pytest.raises(ValueError, match=r"num_splits must lie in 1\.\.3.*got 4"):
            inception_score(torch.zeros(3, 2), 4)


class TestEntropy:
    def test_known_shares(self):
        tokens = torch.tensor([[7, 7, 7, 7], [0, 1, 2, 3], [5, 5, 9, 9], [50256, 0, 0, 0]])
        quarter = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
        expected = torch.tensor([0, math.log(4), math.log(2), quarter]).double()
        assert_close(sequence_entropy(tokens), expected)

    @given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
    def test_against_counts(self, tokens):
        shares = [n / len(tokens) for n in Counter(tokens).values()]
        expected = -sum(p * math.log(p) for p in shares)
        assert float(sequence_entropy(torch.tensor([tokens]))) == pytest.approx(expected, abs=1e-12)


def _bleu(hypothesis, references, max_order):
    """BLEU by its definition: each n-gram is counted in each reference."""
    product = 1.0
    for n in range(1, max_order + 1):
        grams = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
        matches = 0
        for gram in set(grams):
            most = 0
            for text in references:
                windows = zip(*(text[i:] for i in range(n)), strict=False)
                most = max(most, sum(window == gram for window in windows))
            matches += min(grams.count(gram), most)
        if matches == 0:
            if n == 1:
                return 0.0
            matches = Fraction(1, 10)
        product *= float(Fraction(matches) / max(1, len(grams))) ** (1 / max_order)
    size = len(hypothesis)
    nearest = sorted((abs(len(r) - size), len(r)) for r in references)[0][1]
    return product * (1 if size >= nearest else math.exp(1 - nearest / size))


class TestSelfBleu:
    def test_equal_texts_have_one(self):
        assert_close(self_bleu(["abcde"] * 3), torch.ones(3).double())

    def test_nothing_in_common_has_zero(self):
        assert_close(self_bleu(["abcd", "efgh"]), torch.zeros(2).double())

    def test_by_hand(self):
        """BLEU up to 2-grams of three texts.

        In each of the first two, 2 of 3 words and 1 of 2 pairs match, and there is no penalty. In
        the third, no word matches.
        """
        texts = [["the", "cat", "sat"], ["the", "cat", "ran"], ["a", "dog"]]
        value = math.sqrt(2 / 3 * 1 / 2)
        assert_close(self_bleu(texts, 2), torch.tensor([value, value, 0]).double())

    def test_clipping_and_brevity_by_hand(self):
        """All tokens of "aa" match "aaab", but it is short. Of "aaab", 2 of 4 tokens match."""
        expected = torch.tensor([math.exp(1 - 4 / 2), 2 / 4]).double()
        assert_close(self_bleu(["aa", "aaab"], 1), expected)

    @given(
        st.lists(st.text("abc", min_size=1, max_size=9), min_size=2, max_size=6), st.integers(1, 5)
    )
    def test_against_the_definition(self, texts, max_order):
        expected = [
            _bleu(text, texts[:i] + texts[i + 1 :], max_order) for i, text in enumerate(texts)
        ]
        assert_close(self_bleu(texts, max_order), torch.tensor(expected).double())

    def test_bad_texts(self):
        with pytest.raises(ValueError, match="at least 2 texts to compare; got 1"):
            self_bleu(["a"])
        with pytest.raises(ValueError, match="text 1 is empty"):
            self_bleu(["a", ""])
        with pytest.raises(ValueError, match="max_order must be at least 1; got 0"):
            self_bleu(["a", "b"], 0)


class TestIntervals:
    def test_width_is_that_of_the_mean(self):
        """The standard error of a mean is s / sqrt(n). 2000 replicates give it to about 1.6 %."""
        values = torch.from_numpy(np.random.default_rng(0).normal(3, 2, 400))
        interval = bootstrap_interval(
            lambda rows: float(values[rows].mean()),
            400,
            replicates=2000,
            generator=torch.Generator().manual_seed(0),
        )
        error = float(values.std(correction=0)) / math.sqrt(400)
        assert interval.value == pytest.approx(float(values.mean()))
        assert interval.high - interval.value == pytest.approx(1.96 * error, rel=0.08)
        assert interval.value - interval.low == pytest.approx(interval.high - interval.value)

    def test_covers_the_mean_as_often_as_it_says(self):
        """Of 200 sets at level 0.8, 160 are covered, up to 17 at three standard deviations."""
        rng = np.random.default_rng(1)
        generator = torch.Generator().manual_seed(1)
        covered = 0
        for _ in range(200):
            values = torch.from_numpy(rng.normal(0, 1, 50))
            interval = bootstrap_interval(
                lambda rows, v=values: float(v[rows].mean()),
                50,
                replicates=50,
                level=0.8,
                generator=generator,
            )
            covered += interval.low <= 0 <= interval.high
        assert abs(covered - 160) <= 17

    def test_frechet_interval_shrinks_and_replicates_lie_above_the_value(self):
        """Replicates are biased upwards, so intervals use a standard error instead of quantiles."""
        draws = torch.from_numpy(np.random.default_rng(4).normal(size=(2000, 6)))
        reference = FeatureMoments.of(draws)
        widths = []
        for count in (50, 800):
            features = torch.from_numpy(np.random.default_rng(5).normal(size=(count, 6)))
            seen = []

            def statistic(rows, features=features, seen=seen):
                seen.append(frechet_distance(reference, FeatureMoments.of(features[rows])))
                return seen[-1]

            interval = bootstrap_interval(
                statistic, count, replicates=40, generator=torch.Generator().manual_seed(2)
            )
            assert seen[0] == interval.value
            assert sum(seen[1:]) / 40 > interval.value
            widths.append(interval.high - interval.low)
        assert widths[1] < widths[0] / 2

    def test_a_constant_has_no_width_and_seeds_repeat(self):
        assert bootstrap_interval(lambda rows: 1.0, 5) == (1.0, 1.0, 1.0, 0.95, 100)
        first, second = (
            bootstrap_interval(
                lambda rows: float(rows.double().mean()),
                9,
                generator=torch.Generator().manual_seed(seed),
            )
            for seed in itertools.repeat(3, 2)
        )
        assert first == second

    @pytest.mark.parametrize(
        ("count", "options", "message"),
        [
            (1, {}, "num_samples must be at least 2 for an interval; got 1"),
            (2, {"replicates": 1}, "replicates must be at least 2 for an interval; got 1"),
            (2, {"level": 95.0}, r"level must lie in \(0, 1\); got 95.0: use 0.95"),
        ],
    )
    def test_bad_arguments(self, count, options, message):
        with pytest.raises(ValueError, match=message):
            bootstrap_interval(lambda rows: 0.0, count, **options)
