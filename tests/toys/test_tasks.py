"""The laws of the tasks against sums over paths, closed forms and counting."""

import itertools
import math
import pickle

import numpy as np
import pytest
import torch

from di4c.exact import marginals, states
from toys.tasks import synthetic_laws
from toys.tasks.registry import TASKS, find_task, task_from_file
from toys.tasks.synthetic_laws import two_moons


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_a_law_of_its_shape(name):
    task = TASKS[name]
    assert task.name == name
    law = task.law()
    assert law.dtype == torch.float64
    assert law.shape == (task.num_values**task.num_dims,)
    assert float(law.min()) >= 0
    assert math.fsum(law.tolist()) == pytest.approx(1, abs=1e-12)
    assert task.law() is law, "computed once"
    assert task.picture == (task.num_dims == 2 and task.num_values == 32)
    assert pickle.loads(pickle.dumps(task)).name == name


def test_tasks_of_the_benchmark():
    expected = {"pair", "parity8", "repetition8", "digits3x3", "digits4x4", "letters3", "letters4"}
    expected |= {"ising12-hot", "ising12-warm", "ising12-cold", "permutations5", "hmm8"}
    assert set(TASKS) == expected | {"checkerboard", "moons", "digit32"}


def test_correlated_pair_has_fair_bits_and_its_correlation():
    law = TASKS["pair"].law()
    spins = 2.0 * states(2, 2) - 1
    torch.testing.assert_close(marginals(law, 2, 2), torch.full((2, 2), 0.5).double())
    assert float(law @ (spins[:, 0] * spins[:, 1]).double()) == pytest.approx(0.9, abs=1e-15)


def test_parity_and_repetition_by_counting():
    for index, bits in enumerate(itertools.product((0, 1), repeat=8)):
        assert float(TASKS["parity8"].law()[index]) == (1 / 128 if sum(bits) % 2 == 0 else 0)
        assert float(TASKS["repetition8"].law()[index]) == (0.5 if len(set(bits)) == 1 else 0)


@pytest.mark.parametrize(("name", "beta"), [("hot", 0.5), ("warm", 1.0), ("cold", 2.0)])
def test_ising_correlations_by_the_transfer_matrix(name, beta):
    """<s_0 s_r> = (t^r + t^(D-r)) / (1 + t^D) on a ring of D spins, t = tanh beta."""
    law, t = TASKS[f"ising12-{name}"].law(), math.tanh(beta)
    spins = (2 * states(12, 2) - 1).double()
    for distance in range(1, 12):
        expected = (t**distance + t ** (12 - distance)) / (1 + t**12)
        measured = float(law @ (spins[:, 3] * spins[:, (3 + distance) % 12]))
        assert measured == pytest.approx(expected, abs=1e-12)


def test_permutations_by_listing_them():
    law = TASKS["permutations5"].law().reshape((5,) * 5)
    expected = torch.zeros_like(law)
    for order in itertools.permutations(range(5)):
        expected[order] = 1 / 120
    torch.testing.assert_close(law, expected)


def test_hidden_markov_law_by_a_sum_over_hidden_paths():
    stay, forward, truthful, size = 0.5, 0.2, 0.7, 3
    law = synthetic_laws.hidden_markov(3, size, stay, forward, truthful).reshape((size,) * 3)
    jump = (1 - stay - forward) / size

    def move(a, b):
        return jump + stay * (a == b) + forward * (b == (a + 1) % size)

    def view(hidden, seen):
        return truthful if hidden == seen else (1 - truthful) / (size - 1)

    for seen in itertools.product(range(size), repeat=3):
        total = math.fsum(
            move(h[0], h[1]) * move(h[1], h[2]) / size * math.prod(map(view, h, seen))
            for h in itertools.product(range(size), repeat=3)
        )
        assert float(law[seen]) == pytest.approx(total, abs=1e-15)


def test_checkerboard_is_a_mixture_of_two_products():
    board = TASKS["checkerboard"].law().reshape(32, 32)
    assert np.linalg.matrix_rank(board.numpy()) == 2
    assert float(board[0, 0]) > 0
    assert float(board[0, 8]) == 0
    assert float(board[8, 8]) == float(board[7, 7]) == 1 / 512


def test_pictures_run_to_the_right_and_upwards():
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    law = synthetic_laws.digit_picture(8, image=3).reshape(8, 8)
    pixels = digits.images[3] / digits.images[3].sum()
    np.testing.assert_allclose(law.numpy(), pixels[::-1].T, atol=1e-15)
    moons = TASKS["moons"].law().reshape(32, 32)
    torch.testing.assert_close(moons, two_moons(32))


def test_unknown_task_lists_the_known_ones():
    with pytest.raises(ValueError, match="'spirals'") as error:
        find_task("spirals")
    assert all(name in str(error.value) for name in TASKS)


def test_a_law_from_a_file(tmp_path):
    array = np.random.default_rng(0).dirichlet(np.ones(27)).reshape(3, 3, 3)
    np.save(tmp_path / "mine.npy", array)
    task = task_from_file(tmp_path / "mine.npy")
    assert (task.name, task.num_values, task.num_dims) == ("mine", 3, 3)
    np.testing.assert_allclose(task.law().numpy(), array.reshape(-1), rtol=1e-15)
    counts = np.zeros((2, 2), dtype=int)
    counts[1, 0] = 1
    np.save(tmp_path / "counts.npy", counts)
    assert task_from_file(tmp_path / "counts.npy").law().tolist() == [0, 0, 1, 0]


@pytest.mark.parametrize("scale", [1 + 5e-10, 1 - 5e-10])
def test_a_law_off_by_rounding_sums_to_one_to_the_last_digit(tmp_path, scale):
    """Otherwise the sum of a product of D marginals would be off by D times as much."""
    np.save(tmp_path / "mine.npy", np.full((2,) * 6, scale / 64))
    assert float(task_from_file(tmp_path / "mine.npy").law().sum()) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_laws_in_shorter_types_are_laws(tmp_path, dtype):
    array = np.random.default_rng(1).dirichlet(np.ones(27)).reshape(3, 3, 3).astype(dtype)
    np.save(tmp_path / "mine.npy", array)
    law = task_from_file(tmp_path / "mine.npy").law()
    assert float(law.sum()) == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(law.numpy(), array.reshape(-1), rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(4) / 4, r"shape \(S,\)\*D.*\(4,\)"),
        (np.ones((2, 3)) / 6, r"\(2, 3\)"),
        (np.ones((1, 1)), "at least 2 values"),
        (np.ones((2, 2)), "sum to 1; it sums to 4"),
        (np.array([[1.5, -0.5], [0, 0]]), "non-negative.*-0.5"),
        (np.array([[np.nan, 1], [0, 0]]), "finite"),
        (np.array([["a", "b"], ["c", "d"]]), "probabilities"),
    ],
)
def test_a_file_that_is_no_law_is_named_with_what_it_holds(tmp_path, array, words):
    path = tmp_path / "bad.npy"
    np.save(path, array)
    with pytest.raises(ValueError, match=words) as error:
        task_from_file(path)
    assert "bad.npy" in str(error.value)


def test_a_file_that_is_no_array_or_missing(tmp_path):
    (tmp_path / "text.npy").write_text("half, half")
    with pytest.raises(ValueError, match=r"text\.npy is not a whole \.npy array"):
        task_from_file(tmp_path / "text.npy")
    with pytest.raises(FileNotFoundError):
        task_from_file(tmp_path / "nowhere.npy")
