"""The recorded VQGAN: from images to codes and back."""

import pytest
import torch

from full_scale.models import VQGANConfig
from tests.parity.recordings import BY_DTYPE, full_size, recording

KNOWN = r"in/(image|code)|out/(pre_quant|indices|index_margin|reconstruction|decoded)"


@pytest.fixture(scope="module")
def recorded():
    return recording("vqgan", "maskgit_vqgan")


def test_every_recorded_tensor_is_read(recorded):
    assert recorded.unread(KNOWN) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_to_codes_and_back(recorded, dtype):
    tensors, network = recorded.tensors, recorded.network(dtype=dtype)
    image = tensors["in/image"].to(dtype)
    torch.testing.assert_close(
        network.features(image).float(), tensors["out/pre_quant"], **BY_DTYPE[dtype]
    )
    codes = network.encode(image)
    assert torch.equal(codes, tensors["out/indices"])
    for found, name in (
        (network(image), "out/reconstruction"),
        (network.decode(codes), "out/reconstruction"),
        (network.decode(tensors["in/code"]), "out/decoded"),
    ):
        torch.testing.assert_close(found.float(), tensors[name], **BY_DTYPE[dtype])


def test_codes_are_the_nearest_by_the_recorded_margin(recorded):
    """The margin between the nearest and the second nearest code, from another distance formula."""
    network = recorded.network(dtype=torch.float64)
    image = recorded.tensors["in/image"].double()
    features = network.features(image).movedim(1, -1)
    nearest = torch.cdist(features.flatten(1, 2), network.codebook.weight).square()
    two = nearest.topk(2, largest=False).values
    margin = (two[..., 1] - two[..., 0]).unflatten(1, features.shape[1:3])
    torch.testing.assert_close(margin, recorded.tensors["out/index_margin"], rtol=1e-3, atol=1e-4)


def test_the_full_size(recorded):
    assert full_size(recorded) == VQGANConfig() == recorded.full_config
