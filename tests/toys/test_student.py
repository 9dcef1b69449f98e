"""The exact laws of students: by plain sums, without short cuts, and refined latents."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from di4c import exact
from di4c.exact import mixture_composition, total_variation
from di4c.latents import FiniteLatent, GaussianLatent, UniformLatent, draw_latents
from di4c.schedules import uniform_grid
from tests.helpers.goodness_of_fit import generator
from tests.helpers.toy_cases import PROCESSES, SMALL, random_law, setting_of, student_of
from toys.methods import METHODS
from toys.students.student import latent_grid, latent_sequence


def test_latent_grids_have_the_law_of_the_latent():
    scalar = latent_grid(UniformLatent(dtype=torch.float64), 4)
    torch.testing.assert_close(scalar, torch.tensor([1, 3, 5, 7]).double() / 8)
    gauss = latent_grid(GaussianLatent((8,)), 1024).double()
    torch.testing.assert_close(gauss.mean(0), torch.zeros(8).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(gauss.T.cov(), torch.eye(8).double(), atol=0.03, rtol=0)
    noise = latent_grid(UniformLatent((3,)), 1024).double()
    torch.testing.assert_close(noise.mean(0), torch.full((3,), 0.5).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(noise.T.cov(), torch.eye(3).double() / 12, atol=0.01, rtol=0)
    assert latent_grid(FiniteLatent(torch.arange(5)), 99).tolist() == list(range(5))


def test_categories_that_are_not_equally_likely_are_an_error():
    student = student_of(setting_of(random_law(8, 10), 2, 3))
    uneven = FiniteLatent(torch.arange(2), torch.tensor([0.9, 0.1], dtype=torch.float64))
    with pytest.raises(ValueError, match="latent must weigh its 2 categories equally"):
        replace(student, latent=uneven)


@pytest.mark.parametrize("process", PROCESSES)
def test_one_step_law_by_plain_sums(process):
    setting = setting_of(random_law(9, 11), 3, 2, process)
    student = student_of(setting)
    network, start = student.network, torch.full((1, 2), setting.process.num_states - 1)
    expected = []
    for x in product(range(3), repeat=2):
        total = 0.0
        for k in range(8):
            one = torch.ones(1, dtype=torch.float64)
            probs = network.denoiser(start, one, torch.tensor([k]))[0].exp().detach()
            total += float(probs[0, x[0]] * probs[1, x[1]]) / 8
        expected.append(total)
    found = student.law(1, student.latent.support)
    torch.testing.assert_close(found, torch.tensor(expected).double(), atol=1e-6, rtol=0)
    assert float(found.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("process", "nfe"), [("masked", 2), ("masked", 3), ("uniform", 3)])
def test_laws_of_several_steps_take_no_short_cut_that_matters(process, nfe):
    setting = setting_of(random_law(8, 12), 2, 3, process)
    student = student_of(setting)
    support = student.latent.support
    with torch.no_grad():
        expected = mixture_composition(
            setting.process, student.network.denoiser, uniform_grid(nfe), setting.start, support
        )
        middle = mixture_composition(
            setting.process,
            student.network.denoiser,
            uniform_grid(nfe)[1:],
            setting.start,
            support,
        )
    torch.testing.assert_close(student.law(nfe, support), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(student.law(nfe, support, last=1), middle, atol=1e-6, rtol=0)
    assert torch.equal(student.law(nfe, support, last=nfe), setting.start)
    assert torch.equal(student.law(1, support, last=1), setting.start)


def test_finer_latents_change_little_and_say_how_little():
    setting = setting_of(random_law(8, 13), 2, 3)
    student = student_of(setting, replace(SMALL, latent="scalar"))
    output = next(student.outputs((1,)))
    assert output.latent == "scalar"
    assert 0 < output.latent_refinement < 1e-3
    finest = student.law(1, latent_grid(student.latent, 2**15))
    assert float(total_variation(output.law, finest)) < 1e-3


def test_several_steps_are_left_out_where_the_states_are_many():
    setting = setting_of(random_law(2**10, 18), 2, 10)  # 59049 noisy states
    for name, served in (("di4c", [1]), ("hybrid", [])):
        outputs = METHODS[name].outputs(setting, (1, 2, 4))
        assert [output.nfe for output in outputs] == served


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("latent", ["scalar", "gaussian", "position"])
def test_students_of_several_steps_against_shared_latents(process, latent):
    setting = setting_of(random_law(8, 15), 2, 3, process)
    student = student_of(setting, replace(SMALL, latent=latent))
    own = draw_latents(student.latent, 2**11, stratified=True, generator=generator(4))
    shared = student.law(2, own)
    law = student.fine_law(2, 2**15)
    assert float(exact.total_variation(shared, law)) < 1e-3


def test_a_tabulated_network_equals_the_network():
    setting = setting_of(random_law(9, 16), 3, 2, "uniform")
    network = student_of(setting, replace(SMALL, latent="gaussian")).network
    latents = latent_sequence(GaussianLatent((8,)), 16)
    table, x_t = network.tabulated(latents), exact.states(2, 3)[:, None].expand(-1, 16, -1)
    t = torch.full((9,), 0.6, dtype=torch.float64)
    before = network(x_t, t, latents.expand(9, -1, -1)).log_probs
    index = torch.arange(16).expand(9, -1)
    torch.testing.assert_close(table(x_t, t, index).log_probs, before)
    torch.testing.assert_close(network(x_t, t, latents.expand(9, -1, -1)).log_probs, before)
