"""Attention of the transformers: compared with the definition in double precision."""

import pytest
import torch

from full_scale.models.attention import attention


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_attention_is_the_softmax_of_scaled_scores(dtype):
    """In bfloat16 only the result is rounded: the relative error is at most 2^-8."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 3, 50, 8, generator=generator).to(dtype).requires_grad_()
    scores = query.double() @ key.double().mT / 8**0.5
    expected = scores.softmax(-1) @ value.double()
    found = attention(query, key, value)
    assert found.dtype == dtype
    tolerance = {torch.bfloat16: 2**-8, torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=1e-6)


def test_attention_is_in_float32_inside_autocast():
    query, key, value = torch.randn(3, 1, 1, 20, 4).bfloat16()
    expected = attention(query.float(), key.float(), value.float()).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = attention(query, key, value)
    assert torch.equal(found, expected)


def test_attention_with_dropout_differs():
    query, key, value = torch.randn(3, 1, 1, 20, 4)
    kept = attention(query, key, value)
    assert not torch.equal(kept, attention(query, key, value, dropout=0.5))
