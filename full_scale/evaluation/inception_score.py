r"""Inception score (Salimans et al. 2016): are classes of generated pictures clear and diverse?"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def inception_score(
    logits: Float[Tensor, "sample class"],
    num_splits: int = 10,
    order: Int[Tensor, "sample"] | None = None,
) -> float:
    r"""$\exp \mathbb{E}_x \mathrm{KL}(p(y \mid x) \,\Vert\, p(y))$, mean over equal splits.

    Each split has its own $p(y)$. The published scores use 10 splits. Pictures of a single class
    give 1. Pictures of C clear classes in equal shares give C.

    Args:
        logits: logits of the classifier, one row for each picture.
        num_splits: number n of splits. Split i holds the rows from $\lfloor iN/n \rfloor$ to
            $\lfloor (i+1)N/n \rfloor$, without the last.
        order: permutation that is applied first. Pictures that are sorted by class need it, because
            without it a split would hold a single class.

    Raises:
        ValueError: If there are fewer pictures than splits, or a row of logits gives no
            probabilities.
    """
    if not 1 <= num_splits <= len(logits):
        raise ValueError(
            f"num_splits must lie in 1..{len(logits)}, the number of pictures; got {num_splits}"
        )
    log_probs = (logits if order is None else logits[order]).double().log_softmax(-1)
    if bool(log_probs.isnan().any()):
        bad = int(log_probs.isnan().any(-1).nonzero()[0, 0])
        raise ValueError(
            f"logits of picture {bad} are NaN, infinite or all -inf; check the pictures and the "
            "classifier"
        )
    scores = []
    for part in log_probs.tensor_split(_bounds(len(logits), num_splits)):
        probs = part.exp()
        marginal = probs.mean(0)
        information = torch.xlogy(probs, probs).sum(-1).mean()  # 0 log 0 = 0
        scores.append((information - torch.xlogy(marginal, marginal).sum()).exp())
    return float(torch.stack(scores).mean())


def _bounds(count: int, num_splits: int) -> list[int]:
    return [i * count // num_splits for i in range(1, num_splits)]
