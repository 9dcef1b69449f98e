r"""What a student knows at each time: the likelihood of its teacher's samples given a noisy state.

A sample $x_0$ of the teacher (64 calls) is noised to $x_t$. Three models give it a probability:

- product: one call of the teacher, $\prod_d p^d(x_0^d | x_t)$;
- token by token: the teacher, which reveals one masked token after the other, in random order;
- student: one call, the mean over 256 stratified latents of $\prod_d p^d_\lambda(x_0^d | x_t)$.

A student without correlations is as good as the first model. A perfect one is about as good as the
second. The share of their difference that the student makes up is what it captures at this time; it
is negative where the student has worse marginals than its teacher. With other noise than masks
there is no second model. A student that keeps its latent does not draw it anew at x_t: for such a
student only the row of noise 1 tells what its sampler does.

    python -m full_scale.miniatures.likelihoods runs/miniature/words-0
"""

import math
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from di4c.processes import MaskedProcess
from di4c.rng import fold_seed
from full_scale.miniatures.base import Miniature
from full_scale.miniatures.teachers import open_student, open_teacher
from full_scale.models.load import Loaded
from full_scale.models.network import Network
from full_scale.models.sampling import Plan, draw
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json

TIMES = (0.25, 0.5, 0.75, 1.0)
"""Noise levels: the shares of masked tokens, or the times of other noise."""

_LATENTS = 256
_CALLS = 64  # of the teacher, for each sample
_COLUMNS = {
    "miniature": ("student", ""),
    "noise": ("noise", ".2f"),
    "product": ("product", ".2f"),
    "token_by_token": ("token by token", ".2f"),
    "student": ("mixture", ".2f"),
    "captured": ("captured", ".2f"),
}


def main(argv: list[str] | None = None) -> None:
    """Measure students, and print or write the table."""
    parser = script_parser(__doc__, figure=False, quick=False)
    parser.prog = "python -m full_scale.miniatures.likelihoods"
    parser.add_argument("students", nargs="+", metavar="RUN", help="students of miniatures")
    parser.add_argument(
        "--teacher", metavar="MODEL", help="another teacher: a file or the folder of a run"
    )
    parser.add_argument("--samples", type=at_least(1), default=200, help="samples of each row")
    args = parser.parse_args(argv)
    rows = []
    for miniature, student in [open_student(source) for source in args.students]:
        about = {"miniature": miniature.name, "student_sha256": student.sha256}
        teacher = open_teacher(miniature.name, args.teacher)
        found = measure(miniature, student, teacher, args.samples, args.seed)
        rows += [about | row for row in found]
    print(format_table(rows, _COLUMNS))
    print("nats for each sample; lower is better")
    if args.json:
        record = {"samples": args.samples, "rows": rows, "manifest": manifest(args.seed)}
        write_json(args.json, record)
        print(f"written to {args.json}")


@torch.no_grad()
def measure(
    miniature: Miniature, student: Loaded, teacher: Loaded, count: int, seed: int
) -> list[dict[str, Any]]:
    """One row for each noise level: means over samples of the teacher, in nats."""
    process = teacher.network.process
    masked = isinstance(process, MaskedProcess)
    generator = torch.Generator().manual_seed(fold_seed(seed, 0, "likelihoods"))
    labels = miniature.labels(count)
    plan = Plan(_CALLS, sampler="ancestral")
    samples = draw(teacher.network, count, plan, labels=labels, generator=generator).samples
    assert student.latent is not None
    place = (torch.arange(_LATENTS, dtype=torch.float64) + 0.5) / _LATENTS
    latents = student.latent.quantile(place)
    rows = []
    for noise in TIMES:
        t = float(process.schedule.inverse(1 - noise)) if masked else noise
        sums = dict.fromkeys(("product", "student", *(["token_by_token"] if masked else [])), 0.0)
        for i in tqdm(range(count), desc=f"noise {noise}", leave=False):
            x_0 = samples[i]
            x_t = process.sample(x_0[None], 0.0, t, generator=generator)[0]
            models = [model.network for model in (teacher, student)]
            if labels is not None:
                models = [network.given(labels[i : i + 1]) for network in models]
            own, other = models
            sums["product"] -= float(log_likelihood(own, x_0, x_t[None], t).sum())
            found = log_likelihood(other, x_0, x_t.expand(_LATENTS, -1), t, latents).sum(1)
            sums["student"] -= float(found.logsumexp(0)) - math.log(_LATENTS)
            if masked:
                sums["token_by_token"] -= token_by_token(own, x_0, x_t, generator)
        row = {name: total / count for name, total in sums.items()}
        gap = row["product"] - row.get("token_by_token", row["product"])
        captured = (row["product"] - row["student"]) / gap if gap else None
        rows.append({"noise": noise, **row, "captured": captured})
    return rows


def log_likelihood(
    network: Network,
    x_0: Int[Tensor, "dim"],
    x_t: Int[Tensor, "row dim"],
    t: float | Float[Tensor, "row"],
    latents: Tensor | None = None,
) -> Float[Tensor, "row dim"]:
    r"""$\log p^d(x_0^d | x_t)$ of each coordinate; 0 for a token that x_t shows.

    Args:
        network: teacher or student.
        x_0: one sample.
        x_t: noisy states of it.
        t: their times.
        latents: one for each row; None for a teacher.
    """
    times = torch.as_tensor(t, dtype=torch.float64).expand(len(x_t))
    log_probs = replace(network, keep_mask=False).denoise(x_t, times, latents).double()
    found = log_probs.gather(-1, x_0.expand(len(x_t), -1)[..., None])[..., 0]
    mask = network.process.mask_state
    return found if mask is None else torch.where(x_t == mask, found, 0.0)


def token_by_token(
    teacher: Network,
    x_0: Int[Tensor, "dim"],
    x_t: Int[Tensor, "dim"],
    generator: torch.Generator | None,
) -> float:
    """The log-likelihood if the teacher reveals one masked token after the other, in any order."""
    process = teacher.process
    assert isinstance(process, MaskedProcess)
    hidden = (x_t == process.mask_state).nonzero()[:, 0]
    count = len(hidden)
    if count == 0:
        return 0.0
    order = hidden[torch.randperm(count, generator=generator)]
    states = x_t.repeat(count, 1)  # in row k, the first k tokens of the order are revealed
    for k in range(1, count):
        states[k, order[:k]] = x_0[order[:k]]
    shown = (states != process.mask_state).double().mean(1)
    found = log_likelihood(teacher, x_0, states, process.schedule.inverse(shown))
    return float(found[torch.arange(count), order].sum())


if __name__ == "__main__":
    run_script(main)
