"""Texts of a `datasets` source as rows of tokens: whole texts, or prompts with completions.

A row is {"x_0": (D,) int64, "fixed": (D,) bool, "valid": (D,) bool}. Fixed tokens are given: the
prompt, and what the tokenizer puts at the beginning. Padding is not valid.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
import tyro
from jaxtyping import Bool, Int
from torch import Tensor

from di4c.checks import check_count
from reporting.inputs import require_file

_READERS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "text"}


@dataclass(frozen=True)
class Texts:
    """Where texts come from, and how they become rows of tokens."""

    name: Annotated[str, tyro.conf.arg(aliases=("--data",))] = ""
    """name of a data set on the hub, a folder of save_to_disk, or a file: jsonl, csv, parquet,
    txt"""
    split: str = "train"
    """split of the data set"""
    column: str = "text"
    """column of whole texts"""
    prompt: str | None = None
    """column of prompts, which are given and never trained; needs --data.completion"""
    completion: str | None = None
    """column of completions; in place of --data.column"""
    length: int = 128
    """number of tokens of a row"""
    layout: Literal["padded", "packed"] = "padded"
    """padded gives each text a row of its own and drops the padding from the loss; longer texts
    are cut. packed joins the texts and cuts them into full rows; not for prompts"""
    workers: int = 0
    """number of processes that read ahead; 0 reads in the training process"""

    share: ClassVar[float] = 1.0  # what other data sets have as options
    generated: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Check every value."""
        check_count("data.length", self.length, 2)
        check_count("data.workers", self.workers, 0)
        if (self.prompt is None) != (self.completion is None):
            raise ValueError(
                "data.prompt and data.completion belong together; give both columns or none"
            )
        if self.prompt is not None and self.layout == "packed":
            raise ValueError("data.layout must be padded for prompts; got packed")


class Encoder:
    """Turns texts into rows of tokens.

    Args:
        tokenizer: the tokenizer of the model.
        length: D, number of tokens of a row.
        most: largest number of tokens of the model; None if unknown.

    Raises:
        ValueError: If the length exceeds the model's.
    """

    def __init__(self, tokenizer: Any, length: int, most: int | None = None) -> None:
        if most is not None and length > most:
            raise ValueError(
                f"length must be at most {most}, the context of the model; got {length}"
            )
        self.tokenizer, self.length = tokenizer, length
        own = (tokenizer.cls_token_id, tokenizer.bos_token_id)
        self.first = next(([token] for token in own if token is not None), [])
        own = (tokenizer.sep_token_id, tokenizer.eos_token_id)
        self.last = next(([token] for token in own if token is not None), [])
        pads = (tokenizer.pad_token_id, *self.last, 0)
        self.pad = next(token for token in pads if token is not None)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text, without those that the tokenizer adds."""
        return self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]

    def rows(
        self, texts: Sequence[str], prompts: Sequence[str] | None = None, where: str = "data"
    ) -> dict[str, Tensor]:
        """Rows with padding: columns "x_0", "fixed" and "valid".

        Args:
            texts: the texts, or the completions.
            prompts: one prompt for each; None for none.
            where: what to call the source in errors.

        Raises:
            ValueError: If a prompt leaves no room.
        """
        before = [[]] * len(texts) if prompts is None else self.tokens(prompts)
        before = [self.first + prompt for prompt in before]
        for i, given in enumerate(before):
            self._check(given, f"prompt {i} of {where}")
        whole = [
            (given + text + self.last)[: self.length]
            for given, text in zip(before, self.tokens(texts), strict=True)
        ]
        x_0 = torch.tensor([row + [self.pad] * (self.length - len(row)) for row in whole])
        place = torch.arange(self.length)
        fixed, valid = (
            place < torch.tensor([len(row) for row in rows])[:, None] for rows in (before, whole)
        )
        return {"x_0": x_0.reshape(-1, self.length), "fixed": fixed, "valid": valid}

    def prompt(self, text: str, mask_state: int) -> tuple[Int[Tensor, "dim"], Bool[Tensor, "dim"]]:
        """Tokens that begin with a prompt and go on with masks, and which of them are given."""
        given = self.first + self.tokens([text])[0]
        self._check(given, f"prompt {text[:30]!r}")
        x = torch.full((self.length,), mask_state)
        x[: len(given)] = torch.tensor(given, dtype=torch.long)
        return x, torch.arange(self.length) < len(given)

    def text(self, row: Sequence[int], given: int) -> str:
        """The text of a row up to the first token that ends a text, without special tokens.

        Args:
            row: its tokens.
            given: number of tokens of the prompt, among which no end is looked for.
        """
        ends = (place for place in range(given, len(row)) if row[place] in self.last)
        return self.tokenizer.decode(row[: next(ends, None)], skip_special_tokens=True)

    def packed(self, texts: Sequence[str]) -> Int[Tensor, "row dim"]:
        """All texts, one after the other, cut into rows without padding. The rest is dropped."""
        stream = [t for text in self.tokens(texts) for t in self.first + text + self.last]
        count = len(stream) // self.length
        return torch.tensor(stream[: count * self.length]).reshape(count, self.length)

    def _check(self, given: list[int], where: str) -> None:
        if len(given) >= self.length:
            raise ValueError(
                f"{where} has {len(given)} tokens and a row has {self.length}, so nothing is left "
                "to generate; use a longer length or a shorter prompt"
            )


class TextRows:
    """Rows of tokens, the data of a training run (`full_scale.data.TokenData`).

    Args:
        texts: where they come from.
        encoder: turns them into rows.
        num_states: S of the model.

    Raises:
        ValueError: If there is no such source or column, a value is no text, a prompt does not fit,
            or no row is left.
    """

    num_classes = None

    def __init__(self, texts: Texts, encoder: Encoder, num_states: int) -> None:
        *prompts, completions = open_columns(texts)
        self.num_dims, self.num_values = encoder.length, num_states
        if texts.layout == "packed":
            x_0 = encoder.packed(completions)
            place = torch.arange(x_0.shape[1])
            fixed = (place < 0).expand(x_0.shape)
            self.columns = {"x_0": x_0, "fixed": fixed, "valid": ~fixed}
        else:
            self.columns = encoder.rows(completions, *prompts, where=texts.name)
        if not len(self):
            raise ValueError(
                f"data {texts.name} fills no row of {encoder.length} tokens; use a smaller "
                "--data.length or --data.layout padded"
            )
        content = b"".join(column.numpy().tobytes() for column in self.columns.values())
        self.sha256 = hashlib.sha256(content).hexdigest()

    def __len__(self) -> int:
        return len(self.columns["x_0"])

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {key: column[index] for key, column in self.columns.items()}


def first_line(error: Exception) -> str:
    """The first line of a message of another library, without its full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".")


def open_columns(texts: Texts) -> list[list[str]]:
    """The column of whole texts, or those of prompts and completions.

    Rows without a text are skipped. Their number is printed.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the source does not open, has no such column, or holds anything but texts.
    """
    names = [texts.column]
    if texts.prompt is not None and texts.completion is not None:
        names = [texts.prompt, texts.completion]
    source = open_texts(texts, names)
    rows = list(zip(*(source[name][:] for name in names), strict=True))
    for i, row in enumerate(rows):
        for name, value in zip(names, row, strict=True):
            if not (value is None or isinstance(value, str)):
                raise ValueError(
                    f"data {texts.name} has {value!r:.30} in row {i} of column {name!r}, which is "
                    "no text; give a column of texts"
                )
    whole = [row for row in rows if None not in row]
    if skipped := len(rows) - len(whole):
        print(f"{texts.name}: skipped {skipped} rows without a text", file=sys.stderr)
    if not whole:
        raise ValueError(f"data {texts.name} has no rows with a text; give one with texts")
    return [list(column) for column in zip(*whole, strict=True)]


def open_texts(texts: Texts, columns: Sequence[str]) -> Any:
    """The `datasets` source.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not open, has no such column, or is empty.
    """
    from datasets import load_dataset, load_from_disk  # slow to import
    from datasets.exceptions import DatasetsError

    if not texts.name:
        raise ValueError("data is missing; give --data, a data set on the hub, a folder or a file")
    path = Path(texts.name)
    reader = _READERS.get(path.suffix)
    if reader is not None:
        require_file(path)
        if not path.stat().st_size:
            raise ValueError(f"data {texts.name} is empty; give one with texts")
    try:
        if reader is not None:
            source = load_dataset(reader, data_files=str(path), split="train")
        elif path.is_dir():
            source = load_from_disk(str(path))
            source = source[texts.split] if isinstance(source, dict) else source
        else:
            source = load_dataset(texts.name, split=texts.split)
    except (DatasetsError, OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"data {texts.name} does not open ({first_line(error)}); give a data set on the hub, a "
            "folder of save_to_disk, or a file: jsonl, csv, parquet, txt"
        ) from None
    for name in columns:
        if name not in source.column_names:
            raise ValueError(
                f"data {texts.name} has no column {name!r}; its columns are "
                f"{', '.join(source.column_names)}"
            )
    return source
