"""Samples of a teacher in place of data, for a distillation that sees no data at all."""

from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from di4c.exact.laws import require_memory
from di4c.rng import fold_seed
from full_scale.data import TokenData
from full_scale.models.hashes import check_sha256, write_hashed
from full_scale.models.load import Loaded
from full_scale.models.sampling import Plan, draw
from full_scale.models.tensor_file import read_tensors, tensor_bytes

_BATCH = 500  # samples that are drawn at once


class Generated:
    """Samples of a teacher: a `full_scale.data.TokenData`. Classes take turns.

    Args:
        samples: (N, D).
        like: the data that the teacher was trained on.
        num_classes: number of classes that the teacher takes; None without labels.
    """

    def __init__(self, samples: Tensor, like: TokenData, num_classes: int | None) -> None:
        self.samples, self.num_dims, self.num_values = samples, like.num_dims, like.num_values
        self.num_classes, self.sha256 = num_classes, like.sha256

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        item = {"x_0": self.samples[index].long()}
        if self.num_classes is not None:
            item["label"] = torch.tensor(index % self.num_classes)
        return item


def generate(teacher: Loaded, like: TokenData, count: int, calls: int, folder: Path) -> Generated:
    """Draw samples of a teacher by ancestral sampling, or read them if they were drawn before.

    They depend on the teacher, their number and the number of calls, and not on the seed of a run,
    so that all students of a teacher can share them.

    Args:
        teacher: a product denoiser.
        like: the data that it was trained on.
        count: number of samples.
        calls: network calls of each sample.
        folder: where the samples are kept.

    Raises:
        ValueError: If so many samples do not fit into memory.
    """
    size = 4 * count * like.num_dims
    require_memory(size, f"{count} samples of the teacher", "make data.generated smaller")
    classes = teacher.network.config.num_classes
    path = folder / f"generated-{teacher.sha256[:12]}-{count}-{calls}.safetensors"
    if not path.exists():
        generator = torch.Generator().manual_seed(fold_seed(0, calls, "generated"))
        places, drawn = torch.arange(count), []
        for place in tqdm(places.split(_BATCH), desc="samples of the teacher", leave=False):
            labels = None if classes is None else place % classes
            plan = Plan(calls, sampler="ancestral")
            found = draw(teacher.network, len(place), plan, labels=labels, generator=generator)
            drawn.append(found.samples.to(torch.int32))
        content = tensor_bytes({"samples": torch.cat(drawn)}, None)
        write_hashed(path, lambda file: file.write(content))
    check_sha256(path, "remove it, and the samples are drawn again")
    return Generated(read_tensors(path)[0]["samples"], like, classes)


def blank(teacher: Loaded, like: TokenData, count: int) -> Generated:
    """Zeros in place of the samples, for a run that only says what it would do."""
    samples = torch.zeros((), dtype=torch.int32).expand(count, like.num_dims)
    return Generated(samples, like, teacher.network.config.num_classes)


class WithStartAtoms:
    """A data set whose items also hold "start_atoms" (K, D): items of the same class.

    They are the data of the start term (`di4c.start_term`). Which ones belong to an item is fixed.

    Args:
        data: any map-style data.
        count: K.
    """

    def __init__(self, data: TokenData, count: int) -> None:
        self.data, self.count = data, count
        self.num_dims, self.num_values = data.num_dims, data.num_values
        self.num_classes, self.sha256 = data.num_classes, data.sha256
        self.x_0 = torch.stack([data[i]["x_0"] for i in range(len(data))])
        labels = torch.zeros(len(data), dtype=torch.long)
        if data.num_classes is not None:
            labels = torch.stack([data[i]["label"] for i in range(len(data))])
        self.members = {int(c): (labels == c).nonzero()[:, 0] for c in labels.unique()}
        self.labels = labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        own = self.members[int(self.labels[index])]
        generator = torch.Generator().manual_seed(fold_seed(0, index, "start"))
        chosen = own[torch.randint(len(own), (self.count,), generator=generator)]
        return self.data[index] | {"start_atoms": self.x_0[chosen].long()}
