"""The example of docs/own_model.md: a tiny ModernBERT, trained, distilled and sampled on a CPU."""

import re
import shlex

import pytest

from full_scale.train import main
from reporting import ROOT

PAGE = (ROOT / "docs" / "own_model.md").read_text("utf-8")
TINY = {"--steps": "3", "--batch-size": "8", "--micro-batch": "8"}


def blocks(language):
    return re.findall(rf"```\{{code-block\}} {language}\n(.*?)```", PAGE, re.DOTALL)


def commands():
    """The commands of the page, with the numbers of a tiny run."""
    for line in blocks("bash")[0].replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        for option, value in TINY.items():
            words[words.index(option) + 1] = value
        yield [*words[3:], "--num-latents", "2", "--reports.sample-every", "3", "--device", "cpu"]


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, sample = blocks("python")
    few = make.replace('part("train")', 'part("test")[:64]')
    assert few != make
    exec(compile(few, "own_model.md", "exec"), {})
    for words in commands():
        main(words)
    names = {}
    exec(compile(sample, "own_model.md", "exec"), names)
    assert len(names["words"]) == 8
    assert all(word.startswith("un") for word in names["words"])
    assert all(re.fullmatch("[a-z]{2,11}", word) for word in names["words"])
    assert (tmp_path / "runs/tiny-student/model.safetensors").stat().st_size < 2**20
    assert len((tmp_path / "runs/tiny-student/samples/step_00000003.jsonl").read_text()) > 100


def test_the_options_on_the_page_exist(capsys):
    with pytest.raises(SystemExit):
        main(["own", "--help"])
    shown = capsys.readouterr().out
    for option in set(re.findall(r"--[a-z][\w.-]+", PAGE)):
        assert option in shown, option
