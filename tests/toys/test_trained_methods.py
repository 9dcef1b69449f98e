"""The trained methods of the benchmark: the laws they give, SDTT and rectified pairs."""

import math
from fractions import Fraction

import pytest
import torch

from di4c.exact import (
    forward_law,
    states,
    total_correlation,
    total_variation,
)
from tests.helpers.toy_cases import PROCESSES, random_law, setting_of
from theory.samplers import rectified_pair
from theory.tools import oracle
from toys.methods import METHODS, rectified, sdtt
from toys.students import student
from toys.students.training import DataSampler, make_network
from toys.tasks.registry import TASKS
from toys.tasks.setting import BUDGETS, Budget, Setting


@pytest.mark.parametrize(
    ("process", "name"),
    [(p, name) for name, method in METHODS.items() if method.trained for p in method.processes],
)
def test_trained_methods_give_laws(process, name, monkeypatch):
    """With fewer latents than in the benchmark, whose record shows the refinement reached."""
    method = METHODS[name]
    monkeypatch.setattr(student, "_ONE_STEP", (2**10, 2**16))
    monkeypatch.setattr(student, "_MULTI_STEP", (2**12, 2**18))
    setting = setting_of(random_law(9, 17, zeros=True), 3, 2, process, Budget("tiny", 3072))
    outputs = list(method.outputs(setting, (1, 2, 4)))
    served = {"hybrid": [2, 4]}
    assert [output.nfe for output in outputs] == served.get(name, [1, 2, 4])
    for output in outputs:
        assert output.law.shape == (9,)
        assert output.law.dtype == torch.float64
        assert float(output.law.min()) >= 0
        assert float(output.law.sum()) == pytest.approx(1, abs=1e-9)
        assert output.latent_refinement < 5e-3
        assert output.train_seconds > 0
        assert output.parameters > 1000


_PAIR = Fraction(9, 10)  # the correlation of the task "pair"


def test_rectified_pairs_are_those_of_the_flow():
    """Means given the noise, by the closed form of theory/; a false alarm has chance 1e-4."""
    setting = Setting(TASKS["pair"], "uniform", 3)
    x_T, x_0 = rectified.coupled(setting, setting.process, 40_000)
    alphas = [1 - t / rectified.TEACHER_STEPS for t in range(rectified.TEACHER_STEPS + 1)]
    for kind, theta in ((x_T[:, 0] == x_T[:, 1], _PAIR), (x_T[:, 0] != x_T[:, 1], -_PAIR)):
        agree = (x_0 == x_T)[kind].double().flatten() * 2 - 1
        error = 1 / math.sqrt(len(agree) / 2)  # the two bits of a pair count as one draw
        assert abs(float(agree.mean()) - rectified_pair.kept(theta, alphas)) < 4 * error


def test_a_rectified_student_comes_close_to_the_best_one():
    setting = Setting(TASKS["pair"], "uniform", 0, BUDGETS["quick"])
    (output,) = rectified.outputs(setting, (1,))
    alphas = [1 - t / rectified.TEACHER_STEPS for t in range(rectified.TEACHER_STEPS + 1)]
    best = rectified_pair.rectified_tv(_PAIR, alphas)  # 0.357; a product has 0.45
    assert float(total_variation(setting.q_0, output.law)) == pytest.approx(best, abs=0.02)


@pytest.mark.parametrize("nfe", [1, 3])
def test_the_law_of_the_students_flow_by_enumeration(nfe):
    setting = setting_of(random_law(9, 23), 3, 2, "uniform")
    law = oracle.law_from(setting.q_0.tolist(), 2, 3)
    rows = [rectified_pair.flow_row(law, [1 - k / nfe for k in range(nfe + 1)], x) for x in law]
    expected = [sum(row[x] for row in rows) / 9 for x in law]
    found = rectified.flow_law(setting, setting.process, setting.teacher, nfe)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("gap", [4, 16])
def test_the_loss_of_sdtt_by_enumeration(process, gap):
    """The mean loss of a random network is within 6 standard errors (chance 2e-9) of the sum."""
    setting = setting_of(random_law(4, 21), 2, 2, process)
    network = make_network(setting, None)
    noise, teacher, law = setting.process, setting.teacher, setting.q_0
    x = states(2, noise.num_states)
    expected = 0.0
    for k in range(1, sdtt.TIMES + 1):
        t, u = k / sdtt.TIMES, max(k - gap, 0) / sdtt.TIMES
        times = torch.full((len(x),), t, dtype=torch.float64)
        with torch.no_grad():
            student = network.denoiser(x, times).double()
        target = teacher(x, times)
        step = noise.reverse(target.exp(), x, u, t)
        rows = step[:, 0, x[:, 0]] * step[:, 1, x[:, 1]]  # (x_t, x_u)
        later = target[:, None].expand(-1, len(x), -1, -1)
        if u > 0:
            later = teacher(x, torch.full_like(times, u))[None].expand(len(x), -1, -1, -1)
        costs = torch.special.xlogy(later.exp(), later.exp()) - later.exp() * torch.where(
            later.exp() > 0, student[:, None], 0.0
        )
        costs = torch.where(rows > 0, rows * costs.sum((-2, -1)), 0.0)
        expected += float(forward_law(noise, law, t) @ costs.sum(1))
    source = torch.Generator().manual_seed(4)
    x_0 = DataSampler(setting)(100_000, source)
    with torch.no_grad():
        losses = sdtt.StepLoss(noise, network, teacher, gap)(x_0, source).double()
    error = float(losses.std()) / math.sqrt(len(losses))
    assert abs(float(losses.mean()) - expected / sdtt.TIMES) < 6 * error


def test_sdtt_stays_a_product():
    setting = setting_of(TASKS["repetition8"].law(), 2, 8, budget=Budget("some", 100 * 1024))
    output = next(METHODS["sdtt"].outputs(setting, (1,)))
    assert float(total_correlation(output.law, 8, 2)) < 1e-9
    assert float(total_variation(setting.q_0, output.law)) > 0.9


@pytest.mark.parametrize("name", ["di4c", "di4c-d", "data-likelihood"])
def test_one_step_is_worth_many_of_the_teacher(name):
    law = TASKS["pair"].law()
    setting = setting_of(law, 2, 2, budget=Budget("some", 100 * 1024))
    output = next(METHODS[name].outputs(setting, (1,)))
    # The exact teacher needs eight steps for 0.056.
    assert float(total_variation(law, output.law)) < 0.056
