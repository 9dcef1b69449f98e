"""Small classifiers of images, for the metrics of the miniatures that have images.

A classifier sees grey images in [0, 1]. It has two convolutions and one hidden layer; the numbers
of that layer are the features of the Frechet distance. It is trained on the training images of its
data set. For mnist-tokens half of them are decoded from their codes, as samples are.

    python -m full_scale.miniatures.classifier digits
    python -m full_scale.miniatures.classifier mnist-tokens
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import trange

from di4c.rng import fold_seed
from full_scale.data import digits, mnist_tokens, open_data
from full_scale.models.hashes import check_shipped
from full_scale.models.tensor_file import file_sha256, read_tensors, write_tensors
from full_scale.training.miniatures import TEACHERS
from reporting import at_least, manifest, run_script, script_parser, write_json
from reporting.inputs import parsing

NUM_FEATURES = 48
"""F, number of features."""

_BATCH = 128
_STEPS = 2500
_LEARNING_RATE = 2e-3
_AT_ONCE = 1000  # images that go through the network at once

Labelled = tuple[Float[Tensor, "image height width"], Int[Tensor, "image"]]


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes:
        network: its layers. The last one is the map from features to classes.
    """

    network: nn.Sequential

    def __call__(
        self, images: Float[Tensor, "image height width"]
    ) -> tuple[Float[Tensor, "image feature"], Float[Tensor, "image class"]]:
        """Features and log-probabilities of the classes, of grey images in [0, 1]."""
        found = []
        with torch.no_grad():
            for block in images.float().split(_AT_ONCE):
                features = self.network[:-1](block[:, None])
                found.append((features, self.network[-1](features).log_softmax(-1)))
        features, log_probs = (torch.cat(parts) for parts in zip(*found, strict=True))
        return features, log_probs

    def accuracy(self, images: Float[Tensor, "image height width"], labels: Tensor) -> float:
        """Share of the images whose likeliest class is their label."""
        return float((self(images)[1].argmax(1) == labels).double().mean())


def digits_images(part: str) -> Labelled:
    """Images of the data set digits."""
    images, labels = digits.part(part)
    side = digits.SIDE
    return images.unflatten(1, (side, side)).float() / (digits.NUM_VALUES - 1), labels


def mnist_images(part: str) -> Labelled:
    """Images of the data set mnist-tokens with all shifts: first as they are, then decoded."""
    images, tokens = mnist_tokens.part(part)[0], mnist_tokens.tokens_of(part)
    real = mnist_tokens.shifted(images).flatten(0, 1).float() / 255
    return torch.cat([real, mnist_tokens.decode(tokens[0])]), tokens[1].repeat(2)


SOURCES: dict[str, Callable[[str], Labelled]] = {
    "digits": digits_images,
    "mnist-tokens": mnist_images,
}
"""Images and labels of a part of each data set: "train", "validation" or "test"."""


def build(side: int, classes: int = 10) -> nn.Sequential:
    """The network for images of side x side pixels, with random weights."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(32 * (side // 4) ** 2, NUM_FEATURES),
        nn.GELU(),
        nn.Linear(NUM_FEATURES, classes),
    )


def train(name: str, steps: int = _STEPS, seed: int = 0) -> Classifier:
    """Train a classifier on the training images of a data set."""
    images, labels = SOURCES[name]("train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(fold_seed(seed, 0, "classifier"))
        network = build(images.shape[-1])
        adam = torch.optim.AdamW(network.parameters(), _LEARNING_RATE, weight_decay=0.01)
        plan = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        for _ in trange(steps, unit="step", leave=False):
            chosen = torch.randint(len(images), (_BATCH,))
            loss = cross_entropy(network(images[chosen][:, None]), labels[chosen])
            adam.zero_grad()
            loss.backward()
            adam.step()
            plan.step()
    return Classifier(network.eval())


def classifier_file(name: str) -> Path:
    """Where the repository has the classifier of a data set."""
    return TEACHERS / f"{name}-classifier.safetensors"


@cache
def classifier(name: str) -> Classifier:
    """The classifier of the repository.

    Args:
        name: name of the data set, a key of `SOURCES`.

    Raises:
        ValueError: If it is missing, damaged, or was trained on other data.
    """
    path = classifier_file(name)
    remedy = f"make it with: python -m full_scale.miniatures.classifier {name}"
    recorded = check_shipped(path, "classifier", remedy)
    own, other = open_data(name).sha256, recorded.get("data_sha256")
    if own != other:
        raise ValueError(
            f"classifier {path} was trained on data with SHA-256 {other} and the installed data "
            f"{name} have {own}: install the version of the package that it belongs to, or {remedy}"
        )
    with parsing(path, "a classifier", remedy):
        tensors, description = read_tensors(path)
        network = build(description["side"])
        network.load_state_dict(tensors)
    return Classifier(network.eval().requires_grad_(False))


def main(argv: list[str] | None = None) -> None:
    """Train a classifier, measure it, and put it into the repository."""
    parser = script_parser(__doc__, json=False, figure=False, quick=False)
    parser.prog = "python -m full_scale.miniatures.classifier"
    parser.add_argument("name", choices=SOURCES, help="name of the data set")
    add = parser.add_argument
    add("--steps", type=at_least(1), default=_STEPS, help=f"training steps ({_STEPS})")
    args = parser.parse_args(argv)
    trained, path = train(args.name, args.steps, args.seed), classifier_file(args.name)
    parts = {part: SOURCES[args.name](part) for part in ("train", "validation", "test")}
    accuracy = {part: trained.accuracy(*images) for part, images in parts.items()}
    print("accuracy: " + ", ".join(f"{part} {value:.4f}" for part, value in accuracy.items()))
    side = parts["test"][0].shape[-1]
    provenance = manifest(args.seed)  # before the new file makes the clone differ from its commit
    path.parent.mkdir(exist_ok=True)
    write_tensors(path, trained.network.state_dict(), {"kind": "classifier", "side": side})
    description = {
        "sha256": file_sha256(path),
        "data_sha256": open_data(args.name).sha256,
        "accuracy": accuracy,
        "features": NUM_FEATURES,
        "steps": args.steps,
        "manifest": provenance,
    }
    write_json(path.with_suffix(".json"), description)
    print(f"written to {path}")


if __name__ == "__main__":
    run_script(main)
