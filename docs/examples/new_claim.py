"""A claim of your own: what one product step makes of D bits that always agree."""

import torch

from di4c import MaskedProcess
from di4c.exact import product_composition, total_variation
from theory.claim import Record, claim


@claim(
    "equal-bits-one-step",
    "One product step from all masks to D equal bits has TV = 1 - 2^(1 - D).",
    group="beyond",
    source="this project",
    hypotheses="masked noise; the two values are equally likely",
)
def verify(record: Record) -> None:
    """The exact engine on one side, the closed form on the other."""
    for num_dims in range(2, 9):
        law = torch.zeros(2**num_dims, dtype=torch.float64)
        law[[0, -1]] = 0.5
        generated = product_composition(MaskedProcess(2), law, [0.0, 1.0])
        found, expected = total_variation(generated, law), 1 - 2.0 ** (1 - num_dims)
        record.equal(found, expected, tolerance=1e-12, what=f"D = {num_dims}")


record = Record()
verify(record)
print(record.cases, "comparisons, the claim holds:", record.holds)
