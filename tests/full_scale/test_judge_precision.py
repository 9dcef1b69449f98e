"""A judge computes in float32, whatever its files hold, unless another precision is asked for."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from full_scale.evaluation.judge import Judge, perplexity
from tests.helpers.tiny_text import save_judge

TEXTS = [[1, 2, 3, 4, 5], [3, 3, 1, 2, 9], [7, 8, 9, 10, 11]]


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """The folder of a judge whose file holds bfloat16."""
    folder = tmp_path_factory.mktemp("judge")
    save_judge(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_a_judge_of_half_precision_files_computes_in_float32(half):
    """The reference is the model itself, with its weights widened, on one text at a time."""
    judge = Judge(str(half))
    assert {parameter.dtype for parameter in judge.model.parameters()} == {torch.float32}
    model = AutoModelForCausalLM.from_pretrained(half, dtype=torch.bfloat16).double()
    total = 0.0
    for text in TEXTS:
        ids = torch.tensor([text])
        log_probs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        total -= float(log_probs.detach().gather(1, ids[0, 1:, None]).sum())
    expected = torch.tensor(total / 12).exp()
    assert perplexity(judge.likelihood(TEXTS)) == pytest.approx(float(expected), rel=1e-5)


def test_another_precision_on_request(half):
    judge = Judge(str(half), dtype="bfloat16")
    assert {parameter.dtype for parameter in judge.model.parameters()} == {torch.bfloat16}
    wide, narrow = (perplexity(j.likelihood(TEXTS)) for j in (Judge(str(half)), judge))
    assert narrow != wide
    assert narrow == pytest.approx(wide, rel=0.05)
