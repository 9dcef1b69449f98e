"""The miniature "words": English words of at most ten letters. It stands for OpenWebText."""

import torch

from full_scale.data import words as data
from full_scale.evaluation import spelling
from full_scale.miniatures.base import Miniature
from full_scale.models.sampling import Plan

_SAMPLES = 5000  # words of the floor


def _floor(part: str) -> dict[str, float]:
    """Scores of words drawn from the list of all words, as a perfect model would draw them.

    Their negative log-likelihood is that of the held-out words, because the letter model was made
    from the other words.
    """
    words = data.all_words()
    drawn = torch.randint(len(words), (_SAMPLES,), generator=torch.Generator().manual_seed(0))
    found = spelling.score([words[i] for i in drawn], part)
    return found | {"letter_nll": spelling.score(data.part(part), part)["letter_nll"]}


MINIATURE = Miniature(
    name="words",
    main="real_share",
    metrics=spelling.METRICS,
    recipes=("words", "words-data", "words-data-alone", "words-product", "words-published"),
    plan=Plan,
    labels=lambda count: None,
    score=lambda samples, labels, part, share=1.0: spelling.score(data.decode(samples), part),
    floor=_floor,
    shown=data.decode,
    pictures=None,
    quick={"steps": 100, "num_latents": 16},
)
