"""Tiny language models with a tokenizer of letters, as folders of `save_pretrained`."""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

SPECIAL = ["[PAD]", "[MASK]", "[CLS]", "[SEP]", "[UNK]"]  # the mask is not the last state
LETTERS = "abcdefghijklmnopqrstuvwxyz"
SIZES = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
MOST = 16
OWN_CODE = """
import torch
from transformers import PretrainedConfig, PreTrainedModel


class OwnConfig(PretrainedConfig):
    model_type = "own-kind"


class OwnModel(PreTrainedModel):
    config_class = OwnConfig

    def __init__(self, config):
        super().__init__(config)
        self.embed = torch.nn.Embedding(config.vocab_size, 8)
        self.head = torch.nn.Linear(8, config.vocab_size)
        self.post_init()

    def get_input_embeddings(self):
        return self.embed

    def forward(self, input_ids=None, inputs_embeds=None, attention_mask=None):
        h = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        return (self.head(h + h.mean(1, keepdim=True)),)
"""
"""A module that comes with a model, as that of LLaDA does."""


def letters(mask: bool = True) -> PreTrainedTokenizerFast:
    """A tokenizer that makes each letter a token."""
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *LETTERS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    names = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    if mask:
        names["mask_token"] = "[MASK]"
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def tiny(kind: str = "ModernBert", seed: int = 0, rows: int | None = None) -> torch.nn.Module:
    """A masked language model with random weights; GPT2 is a causal one."""
    size = rows or len(SPECIAL) + len(LETTERS)
    tokens = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    if kind == "GPT2":
        config = transformers.GPT2Config(
            vocab_size=size, n_positions=MOST, n_embd=16, n_layer=1, n_head=2, **tokens
        )
        return transformers.GPT2LMHeadModel(config)
    if kind == "ModernBert":
        tokens |= {"cls_token_id": 2, "sep_token_id": 3}
    if kind == "Esm":
        tokens |= {"mask_token_id": 1, "position_embedding_type": "rotary"}
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=size, max_position_embeddings=MOST, **SIZES, **tokens
    )
    torch.manual_seed(seed)
    return transformers.AutoModelForMaskedLM.from_config(config)


def write_tiny(folder: Path, kind: str = "ModernBert", **options: object) -> Path:
    """The folder of a tiny model with its tokenizer."""
    mask = bool(options.pop("mask", True))
    tiny(kind, **options).save_pretrained(folder)
    letters(mask).save_pretrained(folder)
    return folder


def write_own_code(folder: Path) -> Path:
    """The folder of a model with code of its own, and of a tokenizer that names no mask."""
    folder.mkdir()
    (folder / "modeling_own.py").write_text(OWN_CODE)
    code = {"AutoConfig": "modeling_own.OwnConfig", "AutoModel": "modeling_own.OwnModel"}
    size = len(SPECIAL) + len(LETTERS)
    config = {"model_type": "own-kind", "auto_map": code, "vocab_size": size}
    (folder / "config.json").write_text(json.dumps(config))
    draws = torch.Generator().manual_seed(0)
    shapes = {"embed.weight": (size, 8), "head.weight": (size, 8), "head.bias": (size,)}
    weights = {name: torch.randn(shape, generator=draws) for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    letters(mask=False).save_pretrained(folder)
    return folder
