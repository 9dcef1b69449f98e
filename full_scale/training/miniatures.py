"""The experiments of the miniatures by name: teachers and students for a laptop.

There are no published numbers to compare with. `python -m full_scale.miniature NAME` distils,
samples, evaluates and compares (`full_scale.miniatures`).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from full_scale.training.config import Run
from full_scale.training.options import Data, Optimizer, Reports

TEACHERS = Path("full_scale/teachers")
"""Folder of the teachers that come with the repository."""

_STUDENT = Run(
    out=Path("runs/digits"),
    preset="digits",
    recipe="digits",
    steps=1500,
    batch_size=2,
    micro_batch=2,
    data=Data("digits", generated=4000, generated_calls=32),
    optimizer=Optimizer("adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99),
    reports=Reports(log_every=50, save_every=100, keep=1, sample_every=0),
    device="cpu",
)


def _students(run: Run, published: str, batch: int) -> dict[str, tuple[str, Run]]:
    """The five kinds of students of one miniature.

    Args:
        run: pure distillation: its preset has the name of the miniature.
        published: the recipe that stands for a published one.
        batch: batch size with that recipe, which has fewer latents.
    """
    name = run.preset

    def like(kind: str, text: str, **changes: Any) -> tuple[str, tuple[str, Run]]:
        own = replace(run, out=Path(f"runs/{name}{kind}"), **changes)
        text = f"{text}\n\nThere are no published numbers to compare with."
        return f"{name}{kind}", (text, replace(own, teacher=str(TEACHERS / f"{name}.safetensors")))

    real, alone, product = Data(name), f"{name}-data-alone", f"{name}-product"
    return dict(
        [
            like(
                "",
                f"""A student of the shipped teacher for {name}, distilled without data.

Samples of the teacher take the place of data.
`python -m full_scale.miniature {name}` distils, samples, evaluates and compares.""",
            ),
            like(
                "-data",
                f"""A student of the shipped teacher for {name}, distilled with the training data.

The recipe is that of {name}, with real data in place of samples of the teacher.""",
                data=real,
            ),
            like(
                "-data-alone",
                f"""A mixture for {name} that is trained by the likelihood of the data alone.

It starts from the weights of the shipped teacher, which has no other part in the training.""",
                data=real,
                recipe=alone,
            ),
            like(
                "-product",
                f"""A student for {name} that is a product: one latent, as in SDTT.""",
                recipe=product,
                batch_size=4,
                micro_batch=4,
            ),
            like(
                "-published",
                f"""A student for {name} with a published recipe ({published}).""",
                data=real,
                recipe=published,
                batch_size=batch,
                micro_batch=batch,
            ),
        ]
    )


_DIGITS = replace(
    _STUDENT,
    steps=2000,
    optimizer=replace(_STUDENT.optimizer, learning_rate=8e-4, warmup=50),
    latent_gain=3.0,
    dropout=0.0,
)
_MNIST_TOKENS = replace(
    _STUDENT,
    preset="mnist-tokens",
    recipe="mnist-tokens",
    steps=1700,
    data=Data("mnist-tokens", generated=5000, generated_calls=32),
    # A small step keeps the marginals near the teacher's. Large weights let the latent learn.
    optimizer=replace(_STUDENT.optimizer, learning_rate=4e-4),
    latent_gain=4.0,
    precision="bf16",
)
_WORDS = replace(
    _STUDENT,
    preset="words",
    recipe="words",
    steps=1500,
    batch_size=1,
    micro_batch=1,
    data=Data("words", generated=20_000, generated_calls=32),
    dropout=0.1,
    precision="bf16",
)

MINIATURES: dict[str, tuple[str, Run]] = {
    "digits-teacher": (
        """A teacher for 8 x 8 images of digits, trained by cross-entropy.

        Takes about 30 minutes on one CPU core. There are no published numbers to compare with.
        The trained teacher is full_scale/teachers/digits.safetensors.""",
        Run(
            out=Path("runs/digits-teacher"),
            preset="digits",
            recipe="teacher",
            steps=8000,
            batch_size=64,
            micro_batch=64,
            data=Data("digits"),
            optimizer=Optimizer("adam", 1e-3, warmup=200, schedule="cosine", ema_decay=0.999),
            reports=Reports(log_every=100, save_every=500, keep=16, sample_every=0),
            dropout=0.1,
            device="cpu",
        ),
    ),
    **_students(_DIGITS, "cifar10", batch=4),
    "mnist-tokens-teacher": (
        """A teacher for 28 x 28 images of digits as codes of a code book, trained by cross-entropy.

        Takes about 40 minutes on one CPU core. There are no published numbers to compare with.
        The trained teacher is full_scale/teachers/mnist-tokens.safetensors.""",
        Run(
            out=Path("runs/mnist-tokens-teacher"),
            preset="mnist-tokens",
            recipe="teacher",
            steps=7000,
            batch_size=64,
            micro_batch=64,
            data=Data("mnist-tokens"),
            optimizer=Optimizer(
                "adamw", 2e-3, (0.9, 0.99), 0.03, 300, schedule="cosine", ema_decay=0.999
            ),
            reports=Reports(log_every=50, save_every=500, keep=20, sample_every=2000),
            label_dropout=0.1,
            precision="bf16",
            device="cpu",
        ),
    ),
    **_students(_MNIST_TOKENS, "mnist-tokens-published", batch=4),
    "words-teacher": (
        """A teacher for English words of at most 10 letters, trained by cross-entropy.

        Takes about 45 minutes on one CPU core. There are no published numbers to compare with.
        The trained teacher is full_scale/teachers/words.safetensors.""",
        Run(
            out=Path("runs/words-teacher"),
            preset="words",
            recipe="teacher",
            steps=8000,
            batch_size=256,
            micro_batch=256,
            data=Data("words"),
            optimizer=Optimizer("adam", 2e-3, warmup=200, schedule="cosine", ema_decay=0.999),
            reports=Reports(log_every=50, save_every=100, sample_every=1000),
            device="cpu",
        ),
    ),
    **_students(_WORDS, "words-published", batch=8),
}
"""What to expect of each experiment, and its run."""
