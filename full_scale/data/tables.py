"""Data sets and tokenizers, by a name on the hub or from a local folder."""

import os
import socket
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from reporting import inputs


def open_table(source: str, split: str, columns: Sequence[str], picture: str | None = None) -> Any:
    """Open a `datasets.Dataset`, memory-mapped.

    Args:
        source: a folder that `save_to_disk` has written, or a folder of parquet, arrow, JSON lines
            or picture files as `load_dataset` reads them. Any other text is owner/name[@revision]
            on the hub.
        split: name of the split.
        columns: names of the columns that it must have.
        picture: the column that holds pictures. Its items may also be {"bytes", "path"}, as files
            without the metadata of the hub have them.

    Raises:
        ValueError: If datasets is not installed, the source cannot be opened, or it lacks the split
            or a column, or a column of pictures holds other things. The message says in one line
            what the source must hold.
    """
    try:
        import datasets
    except ImportError:
        raise ValueError(
            "datasets is missing; install it with: pip install -e '.[full-scale]'"
        ) from None
    datasets.utils.logging.set_verbosity_error()
    remedy = (
        f"give --source a local folder (parquet files or save_to_disk) with the columns "
        f"{', '.join(columns)} and the split {split}, or a name on the hub if there is a network"
    )
    try:
        table = _load(datasets, source, split)
    except Exception as error:  # the files of a folder can make the library raise anything
        raise ValueError(
            f"data set {source} cannot be opened ({inputs.reason(error)}); {remedy}"
        ) from None
    if absent := [name for name in columns if name not in table.column_names]:
        raise ValueError(
            f"data set {source} has the columns {', '.join(table.column_names)} and lacks "
            f"{', '.join(absent)}; {remedy}"
        )
    if picture is None:
        return table
    try:
        return table.cast_column(picture, datasets.Image())
    except (NotImplementedError, TypeError, ValueError, KeyError) as error:
        raise ValueError(
            f"data set {source}: column {picture} holds no pictures ({inputs.reason(error)}); "
            f"{remedy}"
        ) from None


def _load(datasets: Any, source: str, split: str) -> Any:
    folder = Path(source)
    if (folder / "dataset_dict.json").is_file():
        return datasets.load_from_disk(source)[split]
    if (folder / "state.json").is_file():
        return datasets.load_from_disk(source)
    if folder.is_dir():
        return datasets.load_dataset(os.path.abspath(source), split=split)
    name, _, revision = source.partition("@")
    return datasets.load_dataset(name, split=split, revision=revision or None)


def open_tokenizer(source: str) -> Any:
    """Open a tokenizer of the transformers library that has an end-of-text token.

    Args:
        source: a folder with the files of the tokenizer, or a name on the hub.

    Raises:
        ValueError: If transformers is not installed, the tokenizer cannot be opened, or it has no
            end-of-text token.
    """
    try:
        import transformers
    except ImportError:
        raise ValueError(
            "transformers is missing; install it with: pip install -e '.[full-scale]'"
        ) from None
    files = "files (tokenizer.json, tokenizer_config.json)"
    tokenizer = opened(transformers.AutoTokenizer, source, "tokenizer", files)
    if tokenizer.eos_token_id is None:
        raise ValueError(
            f"tokenizer {source} has no end-of-text token; use one that has, for example gpt2"
        )
    return tokenizer


def opened(kind: Any, source: str, what: str, files: str) -> Any:
    """Open a model or a tokenizer with a class of transformers.

    Args:
        kind: class with the method `from_pretrained`.
        source: a folder, or a name on the hub.
        what: name of the kind, for the error message.
        files: files that the folder needs, for the error message.

    Raises:
        ValueError: If it cannot be opened.
    """
    try:
        # Without a network the library would try again for a minute, and print a line each time.
        cached = {} if Path(source).exists() or hub_answers() else {"local_files_only": True}
        return kind.from_pretrained(source, **cached)
    except Exception as error:  # the files of a folder can make the library raise anything
        raise ValueError(
            f"{what} {source} cannot be opened ({inputs.reason(error)}); give a local folder "
            f"with its {files}, or a name on the hub if there is a network"
        ) from None


@cache
def hub_answers() -> bool:
    """Whether a connection to the hub can be opened, or a proxy would open it."""
    from huggingface_hub import constants

    address = urlsplit(constants.ENDPOINT)
    if getproxies():
        return True
    try:
        socket.create_connection((address.hostname or "", address.port or 443), 5).close()
    except OSError:
        return False
    return True
