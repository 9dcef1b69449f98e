"""Scores of generated words: are they real, do they differ, are their letters likely?"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal

from full_scale.data import words as data

METRICS: dict[str, Literal["lower", "higher"]] = {
    "real_share": "higher",
    "held_out_share": "higher",
    "distinct_share": "higher",
    "letter_nll": "lower",
}
"""The metrics by name, and what is better."""

_END = "."  # a word has no full stop
_SYMBOLS = len(data.ALPHABET) + 1


class LetterModel:
    """A model of the next letter given the letters before it, with Witten-Bell smoothing.

    With n letters of context, the probability of a symbol c after a context h is

        P_n(c | h) = [ count(h c) + types(h) P_{n-1}(c | h without its first letter) ]
                     / [ count(h) + types(h) ],

    where types(h) is the number of different symbols that follow h. The model without context is
    smoothed by the uniform law. The symbols are the letters, the padding and the end of a word.

    Args:
        words: training words.
        context: number of letters of context; 4 makes a 5-gram.
    """

    def __init__(self, words: Iterable[str], context: int = 4) -> None:
        self.context = context
        self.counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for word in words:
            for before, symbol in self._places(word):
                for start in range(len(before) + 1):
                    self.counts[before[start:]][symbol] += 1

    def probability(self, symbol: str, before: str) -> float:
        """Probability of a symbol after a context of at most `context` symbols."""
        value = 1 / _SYMBOLS
        for start in range(len(before), -1, -1):
            seen = self.counts.get(before[start:])
            if seen is not None:
                value = (seen[symbol] + len(seen) * value) / (seen.total() + len(seen))
        return value

    def nll(self, word: str) -> float:
        """Negative log-likelihood of a word, in nats, divided by its letters and its end."""
        logs = [math.log(self.probability(symbol, before)) for before, symbol in self._places(word)]
        return -sum(logs) / len(logs)

    def _places(self, word: str) -> Iterable[tuple[str, str]]:
        """Each symbol of a word with its context. Contexts begin with the end of a word before."""
        whole = _END * self.context + word + _END
        for place in range(self.context, len(whole)):
            yield whole[place - self.context : place], whole[place]


@cache
def letter_model() -> LetterModel:
    """The letter 5-gram of the training words."""
    return LetterModel(data.part("train"))


def score(samples: Sequence[str], held_out: str = "test") -> dict[str, float]:
    """The metrics of generated words.

    Args:
        samples: generated words.
        held_out: the part of the words that counts as held out. Choose settings with "validation".

    Returns:
        real_share: share of samples that are in the list of all words; without the words of the
            part "test" if another part is held out.
        held_out_share: share of samples that are held-out words.
        distinct_share: number of different samples divided by the number of samples.
        letter_nll: mean negative log-likelihood under the letter 5-gram, in nats a letter. Compare
            it with that of held-out words. A model that repeats one common word has a low one.
    """
    everything, held = set(data.all_words()), set(data.part(held_out))
    if held_out != "test":
        everything -= set(data.part("test"))
    count = len(samples)
    return {
        "real_share": sum(word in everything for word in samples) / count,
        "held_out_share": sum(word in held for word in samples) / count,
        "distinct_share": len(set(samples)) / count,
        "letter_nll": sum(letter_model().nll(word) for word in samples) / count,
    }
