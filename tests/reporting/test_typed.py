"""JSON that is checked against types: what passes, and which field a refusal names."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from reporting.records import parse_json
from reporting.typed import Size, Within, check_fields, read_as, typed
from tests.helpers.refusals import assert_refused


@dataclass(frozen=True)
class Sizes:
    width: Size
    rates: tuple[float, ...] = ()
    pair: tuple[int, str] | None = None

    def __post_init__(self) -> None:
        check_fields(self)


class Header(TypedDict):
    rows: Size
    kind: Literal["a", 1]
    classes: Size | None
    names: Annotated[list[str], Within(1, 2)]
    sizes: NotRequired[Sizes]
    other: NotRequired[dict[str, Any]]


RIGHT = {"rows": 3, "kind": "a", "classes": None, "names": ["x"]}


def test_what_fits_is_returned():
    given = RIGHT | {"sizes": {"width": 2, "rates": [1, 0.5], "pair": [1, "x"]}, "unknown": 1}
    found = typed(Header, given)
    assert found == RIGHT | {"sizes": Sizes(2, (1.0, 0.5), (1, "x")), "unknown": 1}
    assert isinstance(found["sizes"].rates[0], float)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": 0}, "rows must be at least 1; got 0"),
        ({"rows": 2**50}, "rows must be at most 1099511627776; got"),
        ({"rows": True}, "rows must be a whole number; got True"),
        ({"rows": 3.0}, r"rows must be a whole number; got 3\.0"),
        ({"rows": "3"}, "rows must be a whole number; got '3'"),
        ({"rows": None}, "rows must be a whole number; got None"),
        ({"kind": "b"}, "kind must be one of 'a', 1; got 'b'"),
        ({"kind": True}, "kind must be one of 'a', 1; got True"),
        ({"classes": 0}, "classes must be at least 1; got 0"),
        ({"classes": "x"}, "classes must be a whole number; got 'x'"),
        ({"names": []}, "names must be at least 1 long"),
        ({"names": ["a", "b", "c"]}, "names must be at most 2 long"),
        ({"names": "ab"}, "names must be a list; got 'ab'"),
        ({"names": [1]}, r"names\[0\] must be a text; got 1"),
        ({"sizes": []}, r"sizes must be an object; got \[\]"),
        ({"sizes": {}}, "sizes lacks width"),
        ({"sizes": {"width": 1, "depth": 1}}, "sizes has no depth"),
        ({"sizes": {"width": 1, "rates": [float("nan")]}}, r"sizes.rates\[0\] must be a number"),
        ({"sizes": {"width": 1, "pair": [1]}}, "sizes.pair must be a list of 2 entries"),
        ({"other": {1: 2}}, None),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    if message is None:
        assert typed(Header, RIGHT | change)
    else:
        assert_refused(lambda: typed(Header, RIGHT | change), message)


def test_a_missing_field_is_named(tmp_path):
    (tmp_path / "h.json").write_text('{"rows": 1}')
    line = assert_refused(lambda: read_as(tmp_path / "h.json", Header, "do that"), "do that$")
    assert line.startswith(f"{tmp_path / 'h.json'}: it lacks classes, kind, names")


def test_a_dataclass_checks_itself():
    assert_refused(lambda: Sizes(0), "width must be at least 1; got 0")
    assert Sizes(1, (2,)).rates == (2,)


@pytest.mark.parametrize(
    "text",
    ["NaN", "-Infinity", "1e999", "18446744073709551616", "9" * 5000, "[" * 10**5, "{", ""],
)
def test_numbers_and_texts_that_json_does_not_have(text):
    for whole in (text, f'{{"a": [{text or "-"}]}}'):
        with pytest.raises(ValueError, match=r"no number of JSON|64 bits|too deeply|Expecting"):
            parse_json(whole)


def test_the_largest_numbers_pass():
    assert parse_json("[18446744073709551615, -9223372036854775808, 1e308]")[0] == 2**64 - 1
