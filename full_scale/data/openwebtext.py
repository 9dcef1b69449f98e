"""OpenWebText as GPT-2 tokens: D = 1024, S = 50257.

python -m full_scale.prepare openwebtext --source Skylion007/openwebtext --tokenizer gpt2

Each document gets an end-of-text token after it. Documents are then joined and cut into pieces of
D - 2 tokens, and each piece gets an end-of-text token at both ends. MDLM and SDTT are trained on
such sequences. They also drop the remainder after every 1000 documents; here only the remainder at
the very end is lost. The last 100 000 documents are the test split, as published.
"""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from full_scale.data.packed import Description, PackedTokens, Rows, pack
from full_scale.data.tables import open_table, open_tokenizer
from reporting import manifest

NUM_DIMS = 1024
HELD_OUT = 100_000
HUB_NAME = "Skylion007/openwebtext"
TOKENIZER = "gpt2"
FOLDER = Path("data/openwebtext")
_BATCH = 1000


def open_split(folder: Path | None, split: str) -> PackedTokens:
    """Open the sequences of one split that `prepare` has written.

    Args:
        folder: folder of the prepared sequences; data/openwebtext if None.
        split: "train" or "test".

    Raises:
        ValueError: If the sequences are not there.
    """
    path = (folder or FOLDER) / split
    return PackedTokens(path, f"run: python -m full_scale.prepare openwebtext --out {path.parent}")


def prepare(
    folder: Path,
    split: str,
    source: str = HUB_NAME,
    tokenizer: str = TOKENIZER,
    num_dims: int = NUM_DIMS,
    held_out: int = HELD_OUT,
) -> PackedTokens:
    """Write one split, or continue where an earlier call was interrupted.

    Args:
        folder: folder to write to; each split gets a folder inside.
        split: "train" or "test".
        source: data set with the column text and a split named train, see `tables.open_table`.
        tokenizer: see `tables.open_tokenizer`.
        num_dims: D.
        held_out: number of documents at the end that form the test split.

    Raises:
        ValueError: If the source or the tokenizer cannot be used, no documents are left to train
            on, or the folder holds other data.
    """
    if num_dims < 3:
        raise ValueError(
            f"num_dims must be at least 3, because each sequence begins and ends with an "
            f"end-of-text token; got {num_dims}"
        )
    words = open_tokenizer(tokenizer)
    table = open_table(source, "train", ("text",))
    first_held_out = len(table) - held_out
    if held_out < 1 or first_held_out < 1:
        raise ValueError(
            f"held_out must lie in 1..{len(table) - 1}, because there are {len(table)} documents; "
            f"got {held_out}"
        )
    documents = range(first_held_out) if split == "train" else range(first_held_out, len(table))
    described = {
        "data": "openwebtext",
        "split": split,
        "source": source,
        "documents": [documents.start, documents.stop],
        "tokenizer": tokenizer,
    }
    description = Description(num_dims, len(words), None, described)
    rows = partial(_rows, table, documents, words, num_dims)
    return pack(folder / split, description, rows, manifest())


def _rows(
    table: Any, documents: range, words: Any, num_dims: int, cursor: dict[str, Any] | None
) -> Iterator[Rows]:
    """The cursor holds the number of the next document and the tokens of an incomplete piece.

    Documents without a text are skipped. It also counts them.
    """
    from tqdm import tqdm

    cursor = {"document": documents.start, "waiting": [], "skipped": 0} | (cursor or {})
    start, waiting, end = cursor["document"], list(cursor["waiting"]), words.eos_token_id
    skipped = cursor["skipped"]
    done = start - documents.start
    with tqdm(total=len(documents), initial=done, desc="openwebtext", unit="documents") as bar:
        while start < documents.stop:
            texts = table[start : min(start + _BATCH, documents.stop)]["text"]
            start += len(texts)
            bar.update(len(texts))
            present = [text for text in texts if text is not None]
            skipped += len(texts) - len(present)
            for tokens in words(present, add_special_tokens=False, verbose=False)["input_ids"]:
                waiting += [*tokens, end]
            whole = len(waiting) // (num_dims - 2) * (num_dims - 2)
            pieces = np.array(waiting[:whole], dtype=np.int64).reshape(-1, num_dims - 2)
            waiting = waiting[whole:]
            x_0 = np.pad(pieces, ((0, 0), (1, 1)), constant_values=end)
            cursor = {"document": start, "waiting": waiting, "skipped": skipped}
            yield Rows(x_0, None, cursor)
    if skipped:
        print(f"openwebtext: skipped {skipped} documents without a text", file=sys.stderr)
