r"""Diversity of generated texts as sequences of tokens: entropy and Self-BLEU.

Generative perplexity alone rewards texts that repeat themselves. These two metrics show it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

_SMOOTHING = 0.1  # replaces a count of zero: "method 1" of Chen and Cherry (2014)


def sequence_entropy(tokens: Int[Tensor, "sample dim"]) -> Float[Tensor, "sample"]:
    r"""Entropy of the tokens within each sequence, $-\sum_v f_v \log f_v$, in nats.

    $f_v$ is the share of token v in the sequence. The entropy is at most $\log D$. Its mean over
    samples is the entropy that papers report beside generative perplexity.

    Returns:
        One number for each sequence, float64.
    """
    ordered = tokens.sort(-1).values
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    # Number the runs of equal tokens. The length of a run is the count of its token.
    runs = starts.long().cumsum(-1) - 1
    counts = torch.zeros(tokens.shape, dtype=torch.float64, device=tokens.device)
    counts.scatter_add_(-1, runs, torch.ones_like(counts))
    return torch.special.entr(counts / max(1, tokens.shape[-1])).sum(-1)


def self_bleu(texts: Sequence[Sequence[Hashable]], max_order: int = 4) -> Float[Tensor, "sample"]:
    r"""BLEU of each text with all others as references (Zhu et al. 2018). 1 means no diversity.

    BLEU (Papineni et al. 2002) is the geometric mean of the clipped n-gram precisions for n = 1 to
    max_order, with equal weights, times the brevity penalty. The penalty uses the reference of the
    closest length, the shorter one of two. An order above 1 without any match counts as 0.1
    matches. A text that shares no token with another text has BLEU 0.

    The count of an n-gram is clipped at its largest count in any *other* text. The two largest
    counts over all texts are enough for that, so the cost is linear in the number of tokens.

    Args:
        texts: sequences of words or tokens.
        max_order: length of the longest n-gram.

    Returns:
        One number for each text, float64. Their mean is Self-BLEU.

    Raises:
        ValueError: If there are fewer than two texts, one is empty, or max_order is below 1.
    """
    if len(texts) < 2:
        raise ValueError(f"texts must hold at least 2 texts to compare; got {len(texts)}")
    if max_order < 1:
        raise ValueError(f"max_order must be at least 1; got {max_order}")
    if empty := [i for i, text in enumerate(texts) if len(text) == 0]:
        raise ValueError(f"text {empty[0]} is empty; leave empty texts out")
    log_precisions = torch.zeros(len(texts), dtype=torch.float64)
    for order in range(1, max_order + 1):
        log_precisions += _log_precisions(texts, order) / max_order
    return (log_precisions + _log_brevity([len(text) for text in texts])).exp()


def _log_precisions(texts: Sequence[Sequence[Hashable]], order: int) -> Tensor:
    """Logarithm of the clipped precision of each text's n-grams of one order."""
    counts = [_ngrams(text, order) for text in texts]
    largest: dict[tuple[Hashable, ...], tuple[int, int, int]] = {}
    for owner, grams in enumerate(counts):
        for gram, count in grams.items():
            first, holder, second = largest.get(gram, (0, -1, 0))
            if count > first:
                largest[gram] = (count, owner, first)
            elif count > second:
                largest[gram] = (first, holder, count)
    precisions = []
    for owner, grams in enumerate(counts):
        matches = 0
        for gram, count in grams.items():
            first, holder, second = largest[gram]
            matches += min(count, second if holder == owner else first)
        if order > 1:
            matches = matches or _SMOOTHING
        precisions.append(matches / max(1, grams.total()))
    return torch.tensor(precisions, dtype=torch.float64).log()


def _ngrams(text: Sequence[Hashable], order: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))


def _log_brevity(lengths: list[int]) -> Tensor:
    """min(0, 1 - r/c). c is the length of a text, r the length of another text closest to c."""
    ordered = sorted(lengths)
    penalties = []
    for length in lengths:
        place = bisect_left(ordered, length)
        others = ordered[max(0, place - 1) : place] + ordered[place + 1 : place + 2]
        closest = min(others, key=lambda other: (abs(other - length), other))
        penalties.append(min(0.0, 1 - closest / length))
    return torch.tensor(penalties, dtype=torch.float64)
