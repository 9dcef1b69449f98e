"""Laws passed as arguments: which types are accepted, and what is refused."""

import numpy as np
import pytest
import torch

from di4c import exact
from di4c.denoisers import ExactDenoiser
from di4c.exact.laws import as_law, infer_num_dims
from di4c.latents import FiniteLatent
from di4c.probabilities import as_probabilities
from di4c.processes import InterpolatingProcess, UniformProcess
from di4c.schedules import LinearSchedule

TENTHS = [0.4, 0.1, 0.2, 0.3]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_law_of_any_float_type_sums_to_one_in_float64(dtype):
    found = as_probabilities("p", torch.tensor(TENTHS, dtype=dtype))
    assert found.dtype == torch.float64
    assert float(found.sum()) == pytest.approx(1, abs=1e-15)
    atol = {torch.float64: 1e-16, torch.float32: 1e-7, torch.bfloat16: 4e-3}[dtype]
    torch.testing.assert_close(found, torch.tensor(TENTHS, dtype=torch.float64), rtol=0, atol=atol)


def test_laws_normalised_in_float32_are_accepted():
    """200 random laws of 19 683 entries, each normalised in float32."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        law = torch.rand(3**9, generator=generator)
        found, num_dims = as_law(law / law.sum(), 3)
        assert num_dims == 9
        assert float(found.sum()) == pytest.approx(1, abs=1e-13)


def test_lists_and_arrays_are_accepted():
    for values in (TENTHS, np.array(TENTHS), np.array(TENTHS, dtype=np.float32)):
        found = as_probabilities("p", values)
        assert found.dtype == torch.float64
        assert float(found.sum()) == pytest.approx(1, abs=1e-15)
    assert as_probabilities("p", [1, 0]).tolist() == [1.0, 0.0]


def test_every_function_accepts_float32():
    law, process = torch.tensor(TENTHS), UniformProcess(2)
    found = exact.product_composition(process, law, [0.0, 0.5, 1.0])
    same = exact.product_composition(process, law.double() / law.double().sum(), [0.0, 0.5, 1.0])
    torch.testing.assert_close(found, same)
    assert ExactDenoiser(process, law).q_0.dtype == torch.float64
    InterpolatingProcess(torch.tensor([0.2, 0.3, 0.5]), LinearSchedule())
    FiniteLatent(torch.arange(3), torch.tensor([0.2, 0.3, 0.5]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.5, 0.6], r"p must sum to 1; it sums to 1.1: divide by the sum"),
        ([1.5, -0.5], r"p must be finite and non-negative; its smallest entry is -0.5"),
        ([float("nan"), 1.0], "p must be finite"),
        (torch.tensor([0.5, 0.50001]), "p must sum to 1"),
        ([0.5, 0.5 + 1e-8], "p must sum to 1"),
    ],
)
def test_arguments_that_are_no_law_are_refused(values, words):
    with pytest.raises(ValueError, match=words):
        as_probabilities("p", values)


def test_a_coordinate_needs_two_states():
    with pytest.raises(ValueError, match=r"num_states must be at least 2.*got 1"):
        infer_num_dims(2, 1)


@pytest.mark.parametrize("size", [0, 1, 3, 5])
def test_a_size_that_is_no_power_is_refused(size):
    with pytest.raises(ValueError, match=rf"must have 2\^D entries; got {size}"):
        infer_num_dims(size, 2)


def test_a_product_step_does_not_change_its_kernels():
    """The output of `posterior_marginals` has a layout that a chunk can use without a copy."""
    process = UniformProcess(2)
    law = torch.tensor(TENTHS, dtype=torch.float64)
    kernels = exact.posterior_marginals(process, law, 0.25, 0.5)
    before = kernels.clone()
    first = exact.product_step(law, kernels)
    assert torch.equal(kernels, before)
    assert torch.equal(exact.product_step(law, kernels), first)
