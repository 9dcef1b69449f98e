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

    Each split has a $p(y)$ of its own; the published scores use 10 splits. One class gives 1, C
    clear classes in equal shares give C.

    Args:
        logits: the classifier's, one row a picture.
        num_splits: parts; part i holds rows $\lfloor iN/n \rfloor$ to $\lfloor (i+1)N/n \rfloor$.
        order: a permutation applied first, where neighbouring rows are related (pictures sorted
            by class would each have a clear class and no diversity within a split).

    Raises:
        ValueError: If there are fewer pictures than splits.
    """
    if not 1 <= num_splits <= len(logits):
        raise ValueError(
            f"num_splits must lie in 1..{len(logits)}, the number of pictures; got {num_splits}"
        )
    log_probs = (logits if order is None else logits[order]).double().log_softmax(-1)
    scores = []
    for part in log_probs.tensor_split(_bounds(len(logits), num_splits)):
        marginal = part.exp().mean(0)
        divergence = (part.exp() * part).sum(-1).mean() - torch.xlogy(marginal, marginal).sum()
        scores.append(divergence.exp())
    return float(torch.stack(scores).mean())


def _bounds(count: int, num_splits: int) -> list[int]:
    return [i * count // num_splits for i in range(1, num_splits)]
