"""Tiny models of every kind, and their samples by the command `full_scale.sample`."""

import numpy as np

from full_scale import sample
from full_scale.evaluation.sample_folder import SampleFolder
from tests.helpers.tiny_models import DENOISERS, VQGAN, save_model
from tests.helpers.tiny_text import save_tokenizer


def save_models(folder):
    """A teacher and a student of each kind, a VQGAN and a tokenizer."""
    for name, config in DENOISERS.items():
        save_model(folder / f"{name}.safetensors", config)
        save_model(folder / f"{name}-student.safetensors", config, student=True, seed=1)
    save_model(folder / "vqgan.safetensors", VQGAN)
    save_tokenizer(folder / "tokenizer")
    return folder


def draw(files, out, model, *options, suffix=".safetensors") -> np.ndarray:
    """Samples by the command."""
    words = [files / f"{model}{suffix}", "--out", out, "--device", "cpu", *options]
    sample.main([str(word) for word in words])
    return SampleFolder(out).samples()
