"""The experiments of the miniatures by name: teachers and students for a laptop.

There are no published numbers to compare with. `python -m full_scale.miniature NAME` distils,
samples, evaluates and compares (`full_scale.miniatures`).
"""

from dataclasses import replace
from pathlib import Path

from full_scale.training.config import Data, Optimizer, Reports, Run

TEACHERS = Path("full_scale/teachers")
"""Folder of the teachers that come with the repository."""

_DIGITS = Run(
    out=Path("runs/digits"),
    preset="digits",
    recipe="digits",
    steps=1500,
    batch_size=2,
    micro_batch=2,
    data=Data("digits", generated=4000, generated_calls=32),
    optimizer=Optimizer("adam", 8e-4, (0.9, 0.99), warmup=50, schedule="cosine", ema_decay=0.99),
    reports=Reports(log_every=50, save_every=100, keep=1, sample_every=0),
    teacher=str(TEACHERS / "digits.safetensors"),
    latent_gain=1.0,
    dropout=0.0,
    device="cpu",
)

_MNIST_TOKENS = Run(
    out=Path("runs/mnist-tokens"),
    preset="mnist-tokens",
    recipe="mnist-tokens",
    steps=1000,
    batch_size=2,
    micro_batch=2,
    data=Data("mnist-tokens", generated=5000, generated_calls=32),
    optimizer=Optimizer("adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99),
    reports=Reports(log_every=50, save_every=100, keep=1, sample_every=0),
    teacher=str(TEACHERS / "mnist-tokens.safetensors"),
    precision="bf16",
    device="cpu",
)

_WORDS = Run(
    out=Path("runs/words"),
    preset="words",
    recipe="words",
    steps=1500,
    batch_size=2,
    micro_batch=2,
    data=Data("words", generated=20_000, generated_calls=32),
    optimizer=Optimizer("adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99),
    reports=Reports(log_every=50, save_every=100, keep=1, sample_every=0),
    teacher=str(TEACHERS / "words.safetensors"),
    device="cpu",
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
    "digits": (
        """A student of the shipped teacher for digits, distilled without data.

        Samples of the teacher take the place of data. Takes about 15 minutes on one CPU core. There
        are no published numbers to compare with.
        `python -m full_scale.miniature digits` distils, samples, evaluates and compares.""",
        _DIGITS,
    ),
    "digits-data": (
        """A student of the shipped teacher for digits, distilled with the training images.

        The recipe is that of digits, with real images in place of samples of the teacher. Takes
        about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(_DIGITS, out=Path("runs/digits-data"), data=Data("digits")),
    ),
    "digits-data-alone": (
        """A mixture for digits that is trained by the likelihood of the training images alone.

        It starts from the weights of the shipped teacher, which has no other part in the training.
        Takes about 10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _DIGITS,
            out=Path("runs/digits-data-alone"),
            recipe="digits-data-alone",
            data=Data("digits"),
        ),
    ),
    "digits-product": (
        """A student for digits that is a product: one latent, as in SDTT.

        Takes about 10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _DIGITS,
            out=Path("runs/digits-product"),
            recipe="digits-product",
            batch_size=4,
            micro_batch=4,
        ),
    ),
    "digits-published": (
        """A student for digits with the published recipe of CIFAR-10.

        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _DIGITS,
            out=Path("runs/digits-published"),
            recipe="cifar10",
            data=Data("digits"),
            batch_size=4,
            micro_batch=4,
        ),
    ),
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
    "mnist-tokens": (
        """A student of the shipped teacher for codes of MNIST images, distilled without data.

        Samples of the teacher take the place of data. Takes about 15 minutes on one CPU core. There
        are no published numbers to compare with.
        `python -m full_scale.miniature mnist-tokens` distils, samples, evaluates and compares.""",
        _MNIST_TOKENS,
    ),
    "mnist-tokens-data": (
        """A student of the shipped teacher for codes of MNIST images, distilled with the images.

        The recipe is that of mnist-tokens, with real images in place of samples of the teacher.
        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(_MNIST_TOKENS, out=Path("runs/mnist-tokens-data"), data=Data("mnist-tokens")),
    ),
    "mnist-tokens-data-alone": (
        """A mixture for codes of MNIST images, trained by the likelihood of the images alone.

        It starts from the weights of the shipped teacher, which has no other part in the training.
        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _MNIST_TOKENS,
            out=Path("runs/mnist-tokens-data-alone"),
            recipe="mnist-tokens-data-alone",
            data=Data("mnist-tokens"),
        ),
    ),
    "mnist-tokens-product": (
        """A student for codes of MNIST images that is a product: one latent, as in SDTT.

        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _MNIST_TOKENS,
            out=Path("runs/mnist-tokens-product"),
            recipe="mnist-tokens-product",
            batch_size=4,
            micro_batch=4,
        ),
    ),
    "mnist-tokens-published": (
        """A student for codes of MNIST images with the published recipe of ImageNet ("di4c-d").

        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _MNIST_TOKENS,
            out=Path("runs/mnist-tokens-published"),
            recipe="mnist-tokens-published",
            data=Data("mnist-tokens"),
            batch_size=4,
            micro_batch=4,
        ),
    ),
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
    "words": (
        """A student of the shipped teacher for words, distilled without data.

        Samples of the teacher take the place of data. Takes about 10 minutes on one CPU core. There
        are no published numbers to compare with.
        `python -m full_scale.miniature words` distils, samples, evaluates and compares.""",
        _WORDS,
    ),
    "words-data": (
        """A student of the shipped teacher for words, distilled with the training words.

        The recipe is that of words, with real words in place of samples of the teacher. Takes about
        10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(_WORDS, out=Path("runs/words-data"), data=Data("words")),
    ),
    "words-data-alone": (
        """A mixture for words that is trained by the likelihood of the training words alone.

        It starts from the weights of the shipped teacher, which has no other part in the training.
        Takes about 10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _WORDS,
            out=Path("runs/words-data-alone"),
            recipe="words-data-alone",
            data=Data("words"),
        ),
    ),
    "words-product": (
        """A student for words that is a product: one latent, as in SDTT.

        Takes about 10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _WORDS,
            out=Path("runs/words-product"),
            recipe="words-product",
            batch_size=4,
            micro_batch=4,
        ),
    ),
    "words-published": (
        """A student for words with the published recipe of ImageNet ("di4c-d") and exact steps.

        Takes about 10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _WORDS,
            out=Path("runs/words-published"),
            recipe="words-published",
            data=Data("words"),
            batch_size=8,
            micro_batch=8,
        ),
    ),
}
"""What to expect of each experiment, and its run."""
