r"""What a data loss with a marginal part charges a trained student for using its latent.

At the horizon, a student with latents $\lambda$ has the marginals $r^d = \mathbb{E}\, p^d_\lambda$.
Training estimates them by the mean of L sampled components, $\bar p^d$. So even a student whose
marginals are exact pays $\mathbb{E} \sum_d \mathrm{KL}(r^d \| \bar p^d) > 0$, the marginal charge.
The correlation part is biased, too: $-\log \frac1L \sum_l p_{\lambda_l}$ is on average above
$-\log p$, by the joint bias. With the weights $\alpha$ and $\beta$ of the two parts
(`theory/losses/latents/latent_batch.py`), a student that uses its latent pays in total

$$\alpha\, \text{(joint bias)} + (\beta - \alpha)\, \text{(marginal charge)},$$

and gains $\alpha$ times its total correlation. Where it pays more than it gains, the loss prefers
the product of its marginals.

    python -m full_scale.miniatures.latent_charge runs/miniature/words-0 runs/miniature/digits-0
"""

import math
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from di4c.rng import fold_seed
from di4c.sampling_loop import prior_samples
from full_scale.miniatures.base import Miniature
from full_scale.miniatures.teachers import open_student
from full_scale.models.load import Loaded
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json

SIZES = (16, 64, 256)
"""Numbers of latents L."""

PUBLISHED = (0.1, 1.0)
"""The weights of the two parts at the horizon in the recipes of ImageNet and OpenWebText."""

_POOL = 8192  # latents that stand for all latents; a multiple of every L
_BATCH = 512  # latents of one network call
_DRAWS = 50  # batches of L latents
_ATOMS = 200  # samples of the student

_AVERAGED = ("marginal_charge", "joint_bias", "total_correlation", "pays", "gains")
_COLUMNS = {
    "miniature": ("student", ""),
    "kind": ("latents", ""),
    "latents": ("L", "d"),
    "marginal_charge": ("marginal charge", ".2f"),
    "joint_bias": ("joint bias", ".2f"),
    "total_correlation": ("correlation", ".2f"),
    "pays": ("pays", ".2f"),
    "gains": ("gains", ".2f"),
}


def main(argv: list[str] | None = None) -> None:
    """Measure students, and print or write the table."""
    parser = script_parser(__doc__, figure=False, quick=False)
    parser.prog = "python -m full_scale.miniatures.latent_charge"
    parser.add_argument("students", nargs="+", metavar="RUN", help="students of miniatures")
    parser.add_argument(
        "--states", type=at_least(1), default=4, help="states x_T, over which rows are means"
    )
    args = parser.parse_args(argv)
    rows = []
    for miniature, student in [open_student(source) for source in args.students]:
        found = measure(miniature, student, args.states, args.seed)
        about = {"miniature": miniature.name, "student_sha256": student.sha256}
        rows += [about | row for row in found]
    print(format_table([row | {"kind": _kind(row)} for row in rows], _COLUMNS))
    if args.json:
        record = {"weights": PUBLISHED, "rows": rows, "manifest": manifest(args.seed)}
        write_json(args.json, record)
        print(f"written to {args.json}")


def _kind(row: dict[str, Any]) -> str:
    return "stratified" if row["stratified"] else "independent"


@torch.no_grad()
def measure(miniature: Miniature, student: Loaded, states: int, seed: int) -> list[dict[str, Any]]:
    """One row for each L, independent and stratified: means over states, in nats."""
    parts = []
    for index in tqdm(range(states), desc="states", leave=False):
        generator = torch.Generator().manual_seed(fold_seed(seed, index, "latent charge"))
        parts.append(charges(pool(miniature, student, index, generator), generator))
    return [
        same[0] | {name: fmean(row[name] for row in same) for name in _AVERAGED}
        for same in zip(*parts, strict=True)
    ]


def pool(
    miniature: Miniature, student: Loaded, index: int, generator: torch.Generator
) -> Float[Tensor, "latent dim value"]:
    """Log-probabilities of all components at one state x_T, ordered by latent."""
    network, law = student.network, student.latent
    assert law is not None
    labels = miniature.labels(index + 1)
    if labels is not None:
        network = network.given(labels[-1:])
    place = (torch.arange(_POOL, dtype=torch.float64) + 0.5) / _POOL
    latents = law.quantile(place)  # a scalar, as all backbones take it
    x = prior_samples(network.process, 1, network.config.num_dims, generator=generator)
    t = torch.full((_BATCH,), network.process.horizon, dtype=torch.float64)
    parts = [network.denoise(x.expand(_BATCH, -1), t, part) for part in latents.split(_BATCH)]
    return torch.cat(parts)


def charges(
    log_probs: Float[Tensor, "latent dim value"], generator: torch.Generator
) -> list[dict[str, Any]]:
    """The charges at one state: a row for each L, independent and stratified.

    Args:
        log_probs: components by latent. They stand for the whole law of the latent, so that the
            marginals are exact means.
        generator: source of the batches and of the atoms.
    """
    count, num_dims, _ = log_probs.shape
    probs = log_probs.double().exp()
    marginals = probs.mean(0)
    chosen = torch.randint(count, (_ATOMS,), generator=generator)
    atoms = torch.stack([torch.multinomial(probs[i], 1, generator=generator)[:, 0] for i in chosen])
    at_atoms = torch.zeros(_ATOMS, count, dtype=torch.float64)  # log p of each atom, by latent
    for dim in range(num_dims):
        at_atoms += log_probs[:, dim].double()[:, atoms[:, dim]].T
    own = at_atoms.logsumexp(1) - math.log(count)
    product = sum(marginals[d].log()[atoms[:, d]] for d in range(num_dims))
    alpha, beta = PUBLISHED
    gain = float((own - product).mean())
    rows = []
    for size in SIZES:
        for stratified in (False, True):
            marginal = joint = 0.0
            for _ in range(_DRAWS):
                batch = torch.randint(count, (size,), generator=generator)
                if stratified:
                    batch = torch.arange(size) * (count // size) + batch % (count // size)
                estimate = probs[batch].mean(0)
                marginal += float(torch.special.xlogy(marginals, marginals / estimate).sum())
                found = at_atoms[:, batch].logsumexp(1) - math.log(size)
                joint += float((own - found).mean())
            marginal, joint = marginal / _DRAWS, joint / _DRAWS
            pays = alpha * joint + (beta - alpha) * marginal
            rows.append(
                {
                    "latents": size,
                    "stratified": stratified,
                    "marginal_charge": marginal,
                    "joint_bias": joint,
                    "total_correlation": gain,
                    "pays": pays,
                    "gains": alpha * gain,
                }
            )
    return rows


if __name__ == "__main__":
    run_script(main)
