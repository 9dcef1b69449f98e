"""The tables of the benchmark page: their numbers are those of the record, over shared laws."""

import re
import statistics
from pathlib import Path

import pytest

from reporting import read_json
from toys.benchmark.tables import SHORT, comparison, markdown, title_of
from toys.methods import METHODS

RECORD = read_json(Path(__file__).parents[2] / "results" / "leaderboard.json")


def _line(method, nfe, task, speed_up, process="masked"):
    row = {"task": task, "process": process, "method": method, "teacher": "exact", "latent": "-"}
    return row | {"nfe": nfe, "seeds": 3, "speed_up": speed_up}


SMALL = {
    "summary": [
        *(_line("teacher", 1, task, 1.0) for task in "abc"),
        *(
            _line("di4c", 1, task, value)
            for task, value in {"a": 2.0, "b": 8.0, "c": 400.0}.items()
        ),
        *(_line("sdtt", 1, task, speed_up) for task, speed_up in (("a", 1.0), ("b", 3.0))),
        *(_line("confidence", 1, task, 5.0) for task in "ac"),
        *(_line("di4c", 2, task, 1.5) for task in "ab"),
    ]
}


def test_methods_are_compared_on_the_laws_that_all_trained_ones_serve():
    """Law c has no row of sdtt, and the confidence sampler does not serve law b."""
    found = {(line["method"], line["nfe"]): line for line in comparison(SMALL)}
    assert found.keys() == {("di4c", 1), ("sdtt", 1), ("di4c", 2)}
    assert {line["tasks"] for line in found.values()} == {2}
    once = found["di4c", 1]
    assert (once["least"], once["speed_up"], once["greatest"]) == (2, 5, 8)


def test_a_table_by_hand():
    di4c, sdtt = title_of("di4c"), title_of("sdtt")
    assert markdown(SMALL) == {
        "masked": "| method | 1 call, 2 laws | 2 calls, 2 laws |\n"
        "| --- | --- | --- |\n"
        f"| {di4c} | **5.0** (2.0 to 8.0) | **1.5** (1.5 to 1.5) |\n"
        f"| {sdtt} | 2.0 (1.0 to 3.0) |  |\n"
    }


@pytest.mark.parametrize("process", SHORT)
def test_the_tables_of_the_record_by_plain_medians(process):
    laws = {
        n: {
            line["task"]
            for line in RECORD["summary"]
            if (line["process"], line["method"], line["nfe"]) == (process, "di4c", n)
        }
        for n in (1, 2, 4)
    }
    header, _, *lines = markdown(RECORD)[process].splitlines()
    assert [int(n) for n in re.findall(r"(\d+) laws", header)] == [len(laws[n]) for n in laws]
    by_title = {method.title: name for name, method in METHODS.items()}
    shown = set()
    for line in lines:
        title, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        shown.add(by_title[title])
        for nfe, cell in zip(laws, cells, strict=True):
            values = [
                row["speed_up"]
                for row in RECORD["summary"]
                if (row["process"], row["method"], row["nfe"]) == (process, by_title[title], nfe)
                and row["task"] in laws[nfe]
            ]
            if not cell:
                assert len(values) < len(laws[nfe])
                continue
            numbers = re.findall(r"\d+\.?\d*", cell)
            expected = statistics.median(values), min(values), max(values)
            for number, value in zip(numbers, expected, strict=True):
                assert abs(float(number) - value) <= (0.0501 if "." in number else 0.501)
    trained = {name for name, method in METHODS.items() if method.trained}
    assert {name for name in trained if process in METHODS[name].processes} <= shown


def test_short_tables_have_at_most_six_rows_and_the_best_method_of_each_column():
    for process, table in markdown(RECORD, SHORT).items():
        _, _, *lines = table.splitlines()
        assert len(lines) == len(SHORT[process]) <= 6
        columns = zip(*(line.strip("|").split("|")[1:] for line in lines), strict=True)
        assert all(any("**" in cell for cell in column) for column in columns)


def test_titles_are_short_and_differ():
    titles = [method.title for method in METHODS.values()]
    assert len(set(titles)) == len(titles)
    assert max(map(len, titles)) <= 30
    assert title_of("my-method") == "my-method"
