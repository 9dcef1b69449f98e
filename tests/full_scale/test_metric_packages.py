"""FID, inception score and MAUVE by the packages themselves, if they are installed.

torch-fidelity needs a torchvision for the same torch, so CI does not install it. Install it by
`pip install -e '.[metrics]'`. Its network has random weights here, so nothing is downloaded.
"""

import importlib
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from full_scale.evaluation.features import open_extractor
from full_scale.evaluation.mauve_score import mauve
from full_scale.evaluation.reference import open_reference
from full_scale.evaluation.scoring import Resampling, score_pictures

pytestmark = pytest.mark.filterwarnings("ignore")  # the packages' own


def _package(name):
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision of another torch
        pytest.skip(f"{name} is not installed whole ({error}); pip install -e '.[metrics]'")


def test_mauve_of_close_and_of_distant_texts():
    generator = torch.Generator().manual_seed(0)
    real, same_law = torch.randn(2, 100, 4, generator=generator)
    assert mauve(real, real, (1,)).mean == pytest.approx(1.0, abs=1e-6)
    near, far = mauve(real, same_law, (1, 2)), mauve(real, same_law + 5, (1,))
    assert near.mean > 0.9 > 0.05 > far.mean
    assert near.deviation > 0  # two clusterings


def _random_inception(folder):
    """A file of weights like the one that torch-fidelity downloads, with random numbers."""
    module = _package("torch_fidelity.feature_extractor_inceptionv3")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = module.FeatureExtractorInceptionV3("any", ["2048"])
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    network.fc.weight.mul_(100)  # so that classes differ
    path = folder / "hub/checkpoints" / module.URL_INCEPTION_V3.split("/")[-1]
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)


class _Folder:
    """The part of a sample folder that score_pictures uses."""

    content: ClassVar = {"kind": "pixels", "shape": [3, 16, 16], "levels": 256}
    run: ClassVar = {"settings": {"content": content}}

    def __init__(self, images):
        self.images = images

    def samples(self):
        return self.images.reshape(len(self.images), -1)


def test_fid_and_inception_score_are_those_of_torch_fidelity(tmp_path, monkeypatch):
    """The package's whole pipeline on two folders of pictures, and ours on the same pictures."""
    package = _package("torch_fidelity")
    torch.manual_seed(0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    _random_inception(tmp_path)
    blocks = np.random.default_rng(0).integers(0, 256, (2, 20, 3, 4, 4), dtype=np.uint8)
    blocks[1] //= 2
    generated, real = blocks.repeat(4, -1).repeat(4, -2)
    for name, images in (("generated", generated), ("real", real)):
        (tmp_path / name).mkdir()
        for i, image in enumerate(images):
            Image.fromarray(image.transpose(1, 2, 0)).save(tmp_path / name / f"{i:02}.png")
    theirs = package.calculate_metrics(
        input1=str(tmp_path / "generated"),
        input2=str(tmp_path / "real"),
        cuda=False,
        isc=True,
        fid=True,
        cache=False,
        save_cpu_ram=True,
        verbose=False,
    )
    extractor, look = open_extractor("inception"), torch.Tensor.contiguous
    reference = open_reference(str(tmp_path / "real"), "inception", extractor, look, 16)
    ours = score_pictures(
        _Folder(generated), ("fid", "is"), extractor, reference, Resampling(2, 0.95, 0), look
    )
    # Twenty pictures have 2048 features, so the package takes the root of a singular matrix.
    assert ours["fid"]["value"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
    assert ours["is"]["value"] == pytest.approx(theirs["inception_score_mean"], rel=1e-6)
    assert ours["is"]["value"] > 1.01
