"""The record run.json of a folder of samples, and what its settings must say for metrics."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from reporting.typed import Size, Within, read_as, typed

RUN = "run.json"


class SampleRecord(TypedDict):
    """Content of run.json."""

    settings: dict[str, Any]
    num_samples: Size
    num_dims: Size
    num_values: Annotated[int, Within(1, 2**32)]
    manifest: dict[str, Any]


class Content(TypedDict):
    """What the samples are, see `full_scale.models.base.DenoiserConfig.content`."""

    kind: Literal["pixels", "codes", "text"]
    shape: NotRequired[Annotated[list[Size], Within(3, 3)]]
    levels: NotRequired[Annotated[int, Within(2)]]
    code_book: NotRequired[Literal["mnist-tokens"]]
    alphabet: NotRequired[str]


class _Source(TypedDict):
    name: str
    weights: NotRequired[str | None]
    training_step: NotRequired[int | None]
    checkpoint: NotRequired[bool]


class _Plan(TypedDict):
    sampler: str
    steps: Annotated[int, Within(0)]
    teacher_steps: Annotated[int, Within(0)]
    guidance: float


class Settings(TypedDict):
    """The settings that a row of results repeats."""

    experiment: str
    role: Literal["teacher", "student", "hybrid"]
    model: _Source
    plan: _Plan
    redraw: str | None
    seed: int
    content: Content


def read_record(folder: Path) -> SampleRecord:
    """The record of a folder.

    Raises:
        ValueError: If it is damaged, or that of something else; names file and field.
    """
    return read_as(folder / RUN, SampleRecord, "give a folder that full_scale.sample made")


def settings_of(folder: Path, record: SampleRecord) -> Settings:
    """The settings of a record, checked against the sizes of the samples.

    Raises:
        ValueError: If one is missing or wrong, or the samples cannot be what they are said to be.
    """
    try:
        settings: Settings = typed(Settings, record["settings"], "settings")
        _check_content(settings["content"], record)
    except ValueError as error:
        raise ValueError(f"{folder / RUN}: {error}; draw the samples again") from None
    return settings


def _check_content(content: Content, record: SampleRecord) -> None:
    dims, values = record["num_dims"], record["num_values"]
    if content["kind"] == "pixels":
        shape, levels = content.get("shape", []), content.get("levels")
        if math.prod(shape) != dims or levels != values:
            raise ValueError(
                f"settings.content must have a shape of {dims} pixels and {values} levels; got "
                f"{shape} and {levels}"
            )
    alphabet = content.get("alphabet")
    if alphabet is not None and len(alphabet) != values:
        raise ValueError(
            f"settings.content.alphabet must have {values} characters; got {len(alphabet)}"
        )
