"""The experiments by name: the training run of each, and what to expect of it.

`python -m full_scale.train EXPERIMENT` runs them. Published numbers and settings are those of
Hayakawa et al., ICML 2025, and of its code. A setting that neither states is called unknown,
and the value here is our choice.
"""

from dataclasses import replace
from pathlib import Path

from full_scale.training.config import Data, Optimizer, Reports, Run

TEACHERS = Path("full_scale/teachers")
"""Folder of the teachers that come with the repository."""

_OPENWEBTEXT = Run(
    out=Path("runs/openwebtext"),
    preset="sdtt-owt",
    recipe="openwebtext",
    steps=100_000,
    batch_size=2,
    micro_batch=1,
    data=Data("openwebtext", workers=2),
    optimizer=Optimizer("adamw", 3e-5, warmup=2500, clip=1.0, ema_decay=0.9999),
    precision="bf16",
)

_DIGITS = Run(
    out=Path("runs/digits"),
    preset="digits",
    recipe="digits",
    steps=2500,
    batch_size=2,
    micro_batch=2,
    data=Data("digits"),
    optimizer=Optimizer("adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99),
    reports=Reports(log_every=50, save_every=250, keep=1, sample_every=0),
    teacher=str(TEACHERS / "digits.safetensors"),
    reference_steps=8,
    latent_gain=3.0,
    dropout=0.0,
    device="cpu",
)

_WORDS = Run(
    out=Path("runs/words"),
    preset="words",
    recipe="words",
    steps=1500,
    batch_size=2,
    micro_batch=2,
    data=Data("words", generated=20_000),
    optimizer=Optimizer("adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99),
    reports=Reports(log_every=50, save_every=100, keep=1, sample_every=0),
    teacher=str(TEACHERS / "words.safetensors"),
    device="cpu",
)

EXPERIMENTS: dict[str, tuple[str, Run]] = {
    "cifar10": (
        """A student of the tauLDR teacher, for the pixels of CIFAR-10.

        Hardware: one GPU. Its kind and the hours are unknown. The published run has 320 000 steps
        of 8 examples with 16 latents: 4.1e18 operations.
        Expected FID of 50 000 samples (lower is better): the student has 20.64 after 10 steps and
        9.77 after 20, the hybrid 9.5 after 20. The teacher has 32.61 after 10 steps, 12.36 after
        20 and 8.0 after 40.""",
        Run(
            out=Path("runs/cifar10"),
            preset="tauldr-cifar10",
            recipe="cifar10",
            steps=320_000,
            batch_size=8,
            micro_batch=8,
            data=Data("cifar10", workers=2),
            optimizer=Optimizer("adam", 2e-4, clip=1.0, ema_decay=0.9999),
        ),
    ),
    "imagenet": (
        """A student of the MaskGIT teacher, for VQGAN tokens of ImageNet 256 x 256 ("di4c-d").

        Hardware: 2 GPUs with 2 examples each and 32 latents. Their kind and the hours are unknown.
        The published run has about 30 000 steps: 1.5e18 operations.
        Expected of 50 000 samples after 4 steps: FID 6.57 (lower is better) and inception score
        213.6 (higher is better). The teacher has about 10.7 and 190 after 4 steps, 6.6 and 222
        after 8. Without the data term (--recipe imagenet) the student has 6.79 and 209.2.
        The share of dropped labels and the average of the weights are unknown and our choice.""",
        Run(
            out=Path("runs/imagenet"),
            preset="maskgit-imagenet",
            recipe="imagenet-d",
            steps=30_000,
            batch_size=4,
            micro_batch=1,
            data=Data("imagenet", workers=2),
            optimizer=Optimizer("adamw", 1e-5, (0.9, 0.96), 1e-5, clip=1.0, ema_decay=0.999),
            label_dropout=0.1,
            precision="bf16",
        ),
    ),
    "openwebtext": (
        """A student of an SDTT teacher, for GPT-2 tokens of OpenWebText.

        Hardware: 2 GPUs with 1 example each and 16 latents. Their kind, the hours and the steps
        are unknown. Our choice is 100 000 steps: 3.8e18 operations.
        Expected: the student needs less than half the steps of the teacher (32 instead of 64 to
        128) for the same generative perplexity, at equal entropy.""",
        _OPENWEBTEXT,
    ),
    "openwebtext-round2": (
        """A second round (iterated Di4C): the student of openwebtext is the teacher.

        Hardware, hours and steps are unknown. Our choice is 100 000 steps: 4.7e18 operations.
        Expected after 16 steps: generative perplexity 44.8 at entropy 5.34 (lower perplexity at
        equal entropy is better). SDTT alone has 61.3. Both were measured by IDLM.""",
        replace(_OPENWEBTEXT, out=Path("runs/openwebtext-round2"), mixture_teacher=True),
    ),
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

        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.
        `python -m full_scale.miniature digits` distils, samples, evaluates and compares.""",
        _DIGITS,
    ),
    "digits-data": (
        """A student of the shipped teacher for digits, distilled with the data.

        It adds 0.1 times the negative log-likelihood of the training images. Takes about 15 minutes
        on one CPU core. There are no published numbers to compare with.""",
        replace(_DIGITS, out=Path("runs/digits-data"), recipe="digits-data", reference_steps=0),
    ),
    "digits-data-alone": (
        """A mixture for digits that is trained by the likelihood of the data alone.

        It starts from the weights of the shipped teacher, which has no other part in the training.
        Takes about 10 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _DIGITS,
            out=Path("runs/digits-data-alone"),
            recipe="digits-data-alone",
            reference_steps=0,
        ),
    ),
    "digits-product": (
        """A student for digits that is a product: one latent, as in SDTT.

        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(_DIGITS, out=Path("runs/digits-product"), recipe="digits-product"),
    ),
    "digits-published": (
        """A student for digits with the published recipe of CIFAR-10.

        Takes about 15 minutes on one CPU core. There are no published numbers to compare with.""",
        replace(
            _DIGITS,
            out=Path("runs/digits-published"),
            recipe="cifar10",
            reference_steps=0,
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
