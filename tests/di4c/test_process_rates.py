"""The jump rates of a process generate its transitions; a process without rates refuses them."""

import pytest
import torch

from di4c.denoisers import TableDenoiser
from di4c.exact import limit_n_tv
from di4c.processes import ForwardProcess, UniformProcess, gaussian_process
from di4c.samplers import tau_leaping
from tests.di4c.test_processes import PROCESSES


@pytest.mark.parametrize("name", PROCESSES)
def test_rates_generate_the_transitions(name):
    """The derivative of q_{t|0} is q_{t|0} R_t, here by central differences."""
    process, step = PROCESSES[name], 1e-5
    t = 0.1 * process.horizon
    change = process.transition(0.0, t + step) - process.transition(0.0, t - step)
    found = process.transition(0.0, t) @ process.rates(t)
    torch.testing.assert_close(found, change / (2 * step), rtol=1e-6, atol=1e-6)
    assert float(found.abs().max()) > 0.1


class Unknown(ForwardProcess):
    """Uniform noise of which only the transitions are given."""

    num_states, horizon = 2, 1.0

    def transition(self, s, t):
        return UniformProcess(2).transition(s, t)

    def prior(self):
        return torch.full((2,), 0.5, dtype=torch.float64)


FAIR = torch.full((1, 2, 1, 2), 0.5, dtype=torch.float64)


@pytest.mark.parametrize(
    "call",
    [
        lambda process, x: process.unit_rates(),
        lambda process, x: process.speed(0.5),
        lambda process, x: process.reverse_rates(FAIR[0, :1], x[:1], 0.5),
        lambda process, x: limit_n_tv(process, torch.full((4,), 0.25, dtype=torch.float64)),
        lambda process, x: tau_leaping(process, TableDenoiser(FAIR.log(), 2), x, [0.5, 0.9]),
    ],
)
def test_a_process_without_rates_refuses_to_give_them(call):
    with pytest.raises(ValueError, match=r"known jump rates.*got Unknown: use ancestral"):
        call(Unknown(), torch.zeros(3, 1, dtype=torch.long))


def test_a_kernel_with_a_floor_has_no_rates():
    with pytest.raises(ValueError, match="floor = 0, otherwise it is no Markov process"):
        gaussian_process(4, floor=1e-8).unit_rates()
