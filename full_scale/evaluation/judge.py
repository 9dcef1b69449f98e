r"""A causal language model that judges texts: their likelihood, and features for MAUVE."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy

from full_scale.data.tables import open_tokenizer, opened

Tokens = Sequence[int]

_CONTEXTS = ("max_position_embeddings", "max_seq_len", "seq_length")
"""Names in configs for the number of tokens of one call. The last two are MPT's and BLOOM's."""


class Likelihood(NamedTuple):
    """Likelihood of some texts under a judge.

    Attributes:
        nll: sum of the negative log-likelihoods of each text's scored tokens, (N,), nats.
        scored: number of scored tokens of each text, (N,).
    """

    nll: Float[Tensor, "text"]
    scored: Float[Tensor, "text"]


class Judge:
    """A causal language model of the transformers library with its tokenizer.

    Args:
        source: local folder or name on the hub, as in gpt2-large, the published judge.
        device: where to run it.
        batch_size: number of texts in one call.
        dtype: type of the weights and of the computation, as in "float32" or "bfloat16". Files
            often hold half precision, and a perplexity depends on it.

    Raises:
        ValueError: If transformers is missing, if the model cannot be opened, or if its config does
            not say how long a text may be.
    """

    def __init__(
        self,
        source: str,
        device: torch.device | str = "cpu",
        batch_size: int = 8,
        dtype: str = "float32",
    ) -> None:
        self.tokenizer = open_tokenizer(source)
        import transformers

        # Read the config before the weights, which may be large.
        known = source, "judge", "weights and tokenizer"
        self.context = _context(opened(transformers.AutoConfig, *known), source)
        model = opened(transformers.AutoModelForCausalLM, *known)
        self.model = model.to(device, getattr(torch, dtype)).eval().requires_grad_(False)
        self.device, self.batch_size = device, batch_size

    def shares_vocabulary(self, tokenizer: Any) -> bool:
        """Whether it has the tokens of another tokenizer, so that tokens can be judged directly."""
        return self.tokenizer.get_vocab() == tokenizer.get_vocab()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Texts as tokens of the judge, without special tokens around them."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    def likelihood(self, texts: Sequence[Tokens]) -> Likelihood:
        r"""$-\sum_{i>1} \log p(x_i \mid x_{<i})$ of each text.

        The first token of a text is given and not scored. A text longer than the model's context is
        cut into windows, each of which is treated as a text. Log-likelihoods are summed in float64.

        Raises:
            ValueError: If a text has fewer than two tokens.
        """
        if short := [i for i, text in enumerate(texts) if len(text) < 2]:
            raise ValueError(f"text {short[0]} has fewer than two tokens; leave it out")
        windows = [
            (owner, text[start : start + self.context])
            for owner, text in enumerate(texts)
            for start in range(0, len(text), self.context)
        ]
        windows = [(owner, window) for owner, window in windows if len(window) > 1]
        nll, scored = torch.zeros(2, len(texts), dtype=torch.float64)
        for owners, ids, mask in self._batches(windows):
            with torch.no_grad():
                logits = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            # One text after the other, because a second copy of the (text, token, vocabulary)
            # numbers would not fit.
            losses = torch.stack(
                [
                    cross_entropy(row, target, reduction="none")
                    for row, target in zip(logits, ids[:, 1:], strict=True)
                ]
            )
            real = mask[:, 1:].double()
            nll.index_add_(0, owners, (losses.double() * real).sum(-1).cpu())
            scored.index_add_(0, owners, real.sum(-1).cpu())
        return Likelihood(nll, scored)

    def features(self, texts: Sequence[Tokens]) -> Float[Tensor, "text feature"]:
        """The last hidden state at the last token of each text, for MAUVE.

        Texts are cut at the length of the model's context.
        """
        found: list[Tensor] = []
        windows = [(owner, text[: self.context]) for owner, text in enumerate(texts)]
        for _, ids, mask in self._batches(windows):
            with torch.no_grad():
                out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            last = mask.sum(-1) - 1
            found.append(out.hidden_states[-1][torch.arange(len(ids)), last].float().cpu())
        return torch.cat(found)

    def _batches(
        self, windows: Sequence[tuple[int, Tokens]]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(owners, ids, mask) of a few windows at once, padded on the right."""
        from tqdm import tqdm

        starts = range(0, len(windows), self.batch_size)
        for start in tqdm(starts, desc="judge", unit="batches", leave=False):
            owners, texts = zip(*windows[start : start + self.batch_size], strict=True)
            lengths = torch.tensor([len(text) for text in texts])
            ids = torch.zeros(len(texts), int(lengths.max()), dtype=torch.long)
            for row, text in zip(ids, texts, strict=True):
                row[: len(text)] = torch.as_tensor(text)
            mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
            yield torch.tensor(owners), ids.to(self.device), mask.to(self.device)


def _context(config: Any, source: str) -> int:
    for name in _CONTEXTS:
        if isinstance(length := getattr(config.get_text_config(), name, None), int) and length > 1:
            return length
    raise ValueError(
        f"judge {source} does not say how many tokens it reads at once: its config has none of "
        f"{', '.join(_CONTEXTS)}; use another one, such as gpt2-large"
    )


def perplexity(likelihood: Likelihood) -> float:
    r"""Generative perplexity of all texts: $\exp(\sum \mathrm{nll} / \sum \mathrm{scored})$."""
    return float((likelihood.nll.sum() / likelihood.scored.sum()).exp())
