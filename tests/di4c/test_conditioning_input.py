"""What the objective and the samplers refuse of data, prompts and padding."""

import pytest
import torch

from di4c import (
    IMAGENET,
    Di4CObjective,
    MaskedProcess,
    UniformProcess,
    ancestral,
    as_mixture,
    prior_samples,
)
from tests.helpers.refusals import assert_refused
from tests.helpers.uninformed import Uninformed

PROCESS = MaskedProcess(3, mask_state=1)  # the values are 0 and 2
X = torch.tensor([[0, 2, 2], [2, 2, 0]])
BOTH = torch.tensor([[False, True, False]]).expand(2, -1)


def refused(process=PROCESS, x=X, **options):
    network = as_mixture(Uninformed(process.num_states))
    return Di4CObjective(process, network, network, IMAGENET)(x, **options)


BAD = {
    "another shape": (
        lambda: refused(fixed=BOTH[:1]),
        r"fixed must have shape .* got \(1, 3\): give one entry",
    ),
    "numbers": (lambda: refused(valid=BOTH.long()), r"valid must be bool; got torch.int64: use"),
    "no masks": (
        lambda: refused(UniformProcess(3), fixed=BOTH),
        "fixed needs masked noise.*got UniformProcess: use a MaskedProcess",
    ),
    "mask in start": (
        lambda: ancestral(
            PROCESS, Uninformed(3), prior_samples(PROCESS, 2, 3), [0.0, 1.0], fixed=BOTH
        ),
        r"start must hold values at fixed coordinates; got the mask 1 at index \[0, 1\]: write",
    ),
    "atoms": (
        lambda: refused(fixed=BOTH, start_atoms=torch.zeros(2, 1, 3).long()),
        r"start_atoms must have the fixed .* index \[0, 0, 1\] differ",
    ),
    "float": (lambda: refused(x=X + 0.5), r"x_0 must be int64.* \(0.5 at index \[0, 0\]\): use"),
    "ignored": (
        lambda: refused(x=X.masked_fill(X == 0, -100)),
        r"x_0 must be states in 0\.\.2; got -100 at index \[0, 0\]: .*valid=False",
    ),
    "vocabulary": (lambda: refused(x=X + 1), r"x_0 must be states .* got 3 at index \[0, 1\]"),
    "masked data": (
        lambda: refused(x=X.masked_fill(BOTH, 1)),
        r"x_0 must be values .* got the mask 1 at index \[0, 1\]: replace",
    ),
    "empty": (lambda: refused(x=X[:0]), r"x_0 must have shape .* got \(0, 3\): fill the empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_masks_and_data_are_refused_in_one_line(name, as_installed):
    assert_refused(*BAD[name])
