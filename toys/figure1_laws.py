"""Why a product sampler fails in few steps, and how a mixture repairs it (data of figure 1).

The law is two interleaved half circles on a grid of 32 x 32 states, with masked noise and a linear
schedule. A product sampler draws both coordinates independently when one step reveals both. After N
steps its total variation to the law (TV, lower is better) is 1/N of that after one step.

A one-step mixture has K components, the values of one latent that both coordinates share. It is
fitted to the same law by expectation maximisation. K = 32 is the exact factorisation of
Proposition 1: one component for each value of the first coordinate. The mixture is also used for 2
and 4 steps.

Expected: the product sampler has TV 0.442, 0.110 and 0.007 after 1, 4 and 64 steps. One step of the
mixture with K = 8 has TV 0.018. Takes less than a minute; --quick takes seconds on 8 x 8 states.

    python toys/figure1_laws.py --json results/figure1.json
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from di4c.exact import (
    marginals,
    mixture_composition,
    product_composition,
    product_law,
    total_correlation,
    total_variation,
)
from di4c.processes import MaskedProcess
from di4c.schedules import uniform_grid
from reporting import format_table, manifest, run_script, script_parser, write_json
from toys.students.mixture_fit import fit_mixture
from toys.tasks.synthetic_laws import PICTURE_STATES, two_moons

PANEL_STEPS = (1, 4, 64)
PANEL_COMPONENTS = 8


def one_step_mixture(
    law: Float[Tensor, "row column"],
    num_components: int,
    num_iterations: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "latent"], Float[Tensor, "latent dim state"]]:
    """A mixture of K products close to the law, and equal to it if K is the number of values.

    For K < S the mixture is that of `fit_mixture`. For K = S component k is the point mass at
    $x^1 = k$ times $p(x^2 | x^1 = k)$ (Proposition 1).

    Args:
        law: p, (S, S).
        num_components: K, at most S.
        num_iterations: rounds of expectation maximisation; each keeps the marginals of p.
        generator: draws the initial responsibilities.

    Raises:
        ValueError: If K is not 1 to S.
    """
    num_states = len(law)
    if not 1 <= num_components <= num_states:
        raise ValueError(
            f"num_components must be 1 to {num_states}, where it is exact; got {num_components}"
        )
    if num_components == num_states:
        weights = law.sum(1)
        rows = torch.eye(num_states, dtype=law.dtype)
        return weights, torch.stack([rows, law / weights[:, None]], 1)
    return fit_mixture(law.flatten(), num_states, num_components, num_iterations, generator)


class MixtureDenoiser:
    r"""Denoiser of a pair that depends on a latent: the mixture where both coordinates are masked.

    If one coordinate is known, the other follows its exact conditional law for every latent.

    Args:
        law: data law, (S, S).
        components: laws of the two coordinates for each latent value, (K, 2, S).
    """

    def __init__(self, law: Float[Tensor, "row column"], components: Tensor) -> None:
        self.components = components
        self.mask = len(law)
        self.given_second = law.T / law.sum(0)[:, None]
        self.given_first = law / law.sum(1)[:, None]

    def __call__(self, x_t: Tensor, t: Tensor, latent: Tensor | None) -> Tensor:
        """Log-probabilities of both coordinates, (B, 2, S)."""
        first, second = x_t.T
        known = x_t != self.mask
        either = known.any(1)
        k = torch.zeros_like(first) if latent is None else latent
        columns = []
        for dim, other, table in ((0, second, self.given_second), (1, first, self.given_first)):
            conditional = table[other.clamp_max(self.mask - 1)]
            columns.append(torch.where(either[:, None], conditional, self.components[k, dim]))
        return torch.stack(columns, 1).log()


def mixture_output(
    law: Float[Tensor, "row column"], weights: Tensor, components: Tensor, num_steps: int
) -> Float[Tensor, "atom"]:
    """Law that `num_steps` steps of the mixture sampler generate from masks alone."""
    process = MaskedProcess(len(law))
    start = product_law(process.prior().expand(2, -1))
    return mixture_composition(
        process,
        MixtureDenoiser(law, components),
        uniform_grid(num_steps),
        start,
        latents=torch.arange(len(weights)),
        weights=weights,
    )


def main(argv: list[str] | None = None) -> None:
    """Compute the panels and curves of figure 1, print the table, write the record."""
    parser = script_parser(__doc__, figure=False)
    args = parser.parse_args(argv)
    num_states, iterations = (8, 50) if args.quick else (PICTURE_STATES, 3000)
    numbers = (1, 2, 4, 8) if args.quick else (1, 2, 4, 8, 16, 32)
    steps = (1, 2) if args.quick else (1, 2, 4)
    law = two_moons(num_states)
    flat = law.flatten()
    process = MaskedProcess(num_states)

    panels = [_panel("data", None, None, flat, flat)]
    product_rows = []
    for n in sorted({*PANEL_STEPS, 1, 2, 4, 8, 16, 32}):
        output = product_composition(process, flat, uniform_grid(n))
        product_rows.append({"steps": n, "tv": float(total_variation(flat, output))})
        if n in PANEL_STEPS:
            panels.append(_panel("product", n, None, flat, output))
    curves = [{"sampler": "product", "components": None, "rows": product_rows}]
    for number in numbers:
        generator = torch.Generator().manual_seed(args.seed)
        weights, components = one_step_mixture(law, number, iterations, generator)
        rows = []
        for n in steps:
            output = mixture_output(law, weights, components, n)
            rows.append({"steps": n, "tv": float(total_variation(flat, output))})
            if n == 1 and number == min(PANEL_COMPONENTS, num_states):
                panels.append(_panel("mixture", 1, number, flat, output))
        curves.append({"sampler": "mixture", "components": number, "rows": rows})

    table = [
        {"sampler": c["sampler"], "components": c["components"], **row}
        for c in curves
        for row in c["rows"]
    ]
    columns = {
        "sampler": ("sampler", "s"),
        "components": ("K", "d"),
        "steps": ("N", "d"),
        "tv": ("TV", ".6f"),
    }
    print(format_table(table, columns))
    if args.json:
        payload = {
            "manifest": manifest(args.seed),
            "num_states": num_states,
            "num_dims": 2,
            "process": "masked",
            "schedule": "linear",
            "quick": args.quick,
            "iterations": iterations,
            "total_correlation": float(total_correlation(flat, 2, num_states)),
            "panels": panels,
            "curves": curves,
        }
        write_json(args.json, payload)
        print(f"written to {args.json}")


def _panel(
    sampler: str, steps: int | None, components: int | None, law: Tensor, output: Tensor
) -> dict:
    num_states = math.isqrt(len(law))
    drift = (marginals(output, 2, num_states) - marginals(law, 2, num_states)).abs().max()
    return {
        "sampler": sampler,
        "steps": steps,
        "components": components,
        "tv": float(total_variation(law, output)),
        "worst_marginal_error": float(drift),
        # Rounded for the picture, to keep the file readable.
        "probs": [[round(p, 9) for p in row] for row in output.reshape(num_states, -1).tolist()],
    }


if __name__ == "__main__":
    run_script(main)
