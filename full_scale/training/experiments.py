"""The training runs by name, and what to expect of each. `full_scale.train` runs them.

Published numbers and settings are those of Hayakawa et al., ICML 2025, and its code; what it does
not state is called unknown, and the value here is then our choice.
"""

from dataclasses import replace
from pathlib import Path

from full_scale.training.config import Data, Optimizer, Run

_OPENWEBTEXT = Run(
    out=Path("runs/openwebtext"),
    preset="sdtt-owt",
    method="openwebtext",
    steps=100_000,
    batch_size=2,
    micro_batch=1,
    data=Data("openwebtext", workers=2),
    optimizer=Optimizer("adamw", 3e-5, warmup=2500, clip=1.0, ema_decay=0.9999),
    precision="bf16",
)

EXPERIMENTS: dict[str, tuple[str, Run]] = {
    "cifar10": (
        """CIFAR-10 pixels from the tauLDR teacher.

        Hardware: one GPU; which, and hours: unknown for the published run (320 000 steps of 8
        examples, 16 latents; 4.1e18 operations).
        Expected FID of 50 000 samples: student 20.64 at 10 steps and 9.77 at 20, hybrid 9.5 at 20;
        the teacher has 32.61, 12.36 and, at 40 steps, 8.0.""",
        Run(
            out=Path("runs/cifar10"),
            preset="tauldr-cifar10",
            method="cifar10",
            steps=320_000,
            batch_size=8,
            micro_batch=8,
            data=Data("cifar10", workers=2),
            optimizer=Optimizer("adam", 2e-4, clip=1.0, ema_decay=0.9999),
        ),
    ),
    "imagenet": (
        """ImageNet 256 x 256 as VQGAN tokens from the MaskGIT teacher ("di4c-d").

        Hardware: 2 GPUs with 2 examples each, 32 latents; which, and hours: unknown. About 30 000
        steps (1.5e18 operations). Expected at 4 steps, 50 000 samples: FID 6.57, IS 213.6 (the
        teacher: about 10.7 and 190; at 8 steps 6.6 and 222). --method imagenet leaves out the data
        term: 6.79 and 209.2. The share of dropped labels and the average of the weights are our
        choice.""",
        Run(
            out=Path("runs/imagenet"),
            preset="maskgit-imagenet",
            method="imagenet-d",
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
        """OpenWebText, GPT-2 tokens, from an SDTT teacher.

        Hardware: 2 GPUs with 1 example each, 16 latents; which, hours and steps: unknown (100 000
        steps is our choice: 3.8e18 operations). Expected: the generative perplexity of the teacher
        with less than half its steps (32 instead of 64 to 128), at equal entropy.""",
        _OPENWEBTEXT,
    ),
    "openwebtext-round2": (
        """A second round: the student of openwebtext is the teacher (iterated Di4C).

        Hardware, hours, steps: unknown (100 000 steps is our choice: 4.7e18 operations). Expected
        at 16 steps: generative perplexity 44.8 at entropy 5.34, where SDTT alone has 61.3 (both as
        measured by IDLM).""",
        replace(_OPENWEBTEXT, out=Path("runs/openwebtext-round2"), mixture_teacher=True),
    ),
    "digits-teacher": (
        """A teacher for 8 x 8 digit images by cross-entropy. Minutes on two CPU cores.

        Nothing published; `python -m full_scale.digits` trains, distils, samples and evaluates.""",
        Run(
            out=Path("runs/digits-teacher"),
            preset="digits",
            method="teacher",
            steps=4000,
            batch_size=64,
            micro_batch=64,
            data=Data("digits"),
            optimizer=Optimizer("adam", 1e-3, warmup=100, schedule="cosine", ema_decay=0.999),
            device="cpu",
        ),
    ),
    "digits": (
        """8 x 8 digit images from the teacher of digits-teacher. Minutes on two CPU cores.

        Nothing published; `python -m full_scale.digits` trains, distils, samples and evaluates.""",
        Run(
            out=Path("runs/digits"),
            preset="digits",
            method="digits",
            steps=500,
            batch_size=8,
            micro_batch=8,
            num_latents=8,
            data=Data("digits"),
            optimizer=Optimizer(
                "adam", 1e-3, (0.9, 0.99), warmup=20, schedule="cosine", ema_decay=0.99
            ),
            teacher="runs/digits-teacher",
            latent_gain=3.0,
            dropout=0.0,
            device="cpu",
        ),
    ),
}
"""Recipes by name: what to expect, and the run."""
