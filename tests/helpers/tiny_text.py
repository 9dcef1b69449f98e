"""A tokenizer, a text data set and a language model in the published formats, all tiny."""

from pathlib import Path

WORDS = ("the", "cat", "sat", "on", "a", "mat", "dog", "ran", "far", "away")
END = "<|endoftext|>"


def save_tokenizer(folder: Path) -> None:
    """A tokenizer with one token for each word, and the end of text as the last token."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {word: i for i, word in enumerate(("?", *WORDS, END))}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="?", eos_token=END, bos_token=END
    ).save_pretrained(folder)


def documents(count: int) -> list[str]:
    """Document i has i % 7 + 1 words."""
    return [
        " ".join(WORDS[(i * 3 + k) % len(WORDS)] for k in range(i % 7 + 1)) for i in range(count)
    ]


def tokens(text: str) -> list[int]:
    """The tokens of a document, followed by the end of text."""
    return [WORDS.index(word) + 1 for word in text.split()] + [len(WORDS) + 1]


def save_documents(folder: Path, count: int) -> None:
    """A folder of parquet files, named as on the hub."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    (folder / "data").mkdir(parents=True)
    texts = documents(count)
    half = count // 2
    for i, part in enumerate((texts[:half], texts[half:])):
        path = folder / "data" / f"train-{i:05d}-of-00002.parquet"
        pq.write_table(pa.table({"text": part}), path)


def save_judge(folder: Path, context: int = 32, seed: int = 0) -> None:
    """A GPT-2 of random weights with the tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    save_tokenizer(folder)
    size = len(WORDS) + 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=size,
            n_positions=context,
            n_embd=8,
            n_layer=2,
            n_head=2,
            initializer_range=0.5,
            bos_token_id=size - 1,
            eos_token_id=size - 1,
        )
        GPT2LMHeadModel(config).save_pretrained(folder)
