"""How a latent enters a language model: added to the embeddings, or as one more token.

A tiny ModernBERT learns English words, letter by letter. It is distilled with LoRA, with each kind
of latent and each gain at its start, with the same seeds. All students get the same number of
floating-point operations: one more token makes a step dearer, so those students take fewer steps.
They are compared on words that were not trained:

- loss: the whole Di4C objective on held-out words with fixed noise, in nats (lower is better);
- distillation: its distillation term, which is 0 for a student that equals its teacher;
- captured: the correlation between letters that the student holds where all are masked, in nats
  (higher is better; a product has 0);
- real share: the share of words drawn in one and in two calls that are words (higher is better).

    python -m full_scale.bench own-latent           two kinds, two gains, three seeds: half an hour
    python -m full_scale.bench own-latent --quick   seconds

Expected: a positive gain is worth more than the kind of the latent. With a gain of 0 all components
are equal at the start, and training must first leave this point.
"""

import json
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from di4c.rng import SampleGenerators
from full_scale.data.text_columns import Encoder, TextRows, Texts
from full_scale.data.words import all_words, part
from full_scale.models.huggingface import Loaded, load_model
from full_scale.models.language.latent import Adapter
from full_scale.training.options import Optimizer, Reports
from full_scale.training.own_cost import outline
from full_scale.training.own_run import OwnRun
from reporting import at_least, format_table, manifest, script_parser, write_json
from reporting.files import write_whole

KINDS = ("added", "token")
MEASURED = ("loss", "distillation", "captured", "real_share_1", "real_share_2")
_LENGTH = 12  # tokens of the longest word, with its two ends
_TEACHER = {"steps": 1500, "batch_size": 128, "rate": 2e-3}
_STUDENT = {"steps": 300, "batch_size": 16, "rate": 1e-3}
_LATENTS, _SCORED = 32, 200  # latents and words of the losses that are compared
_SPECIAL = ["[PAD]", "[MASK]", "[CLS]", "[SEP]", "[UNK]"]


def write_model(folder: Path) -> None:
    """Write a tiny ModernBERT with random weights, and a tokenizer of letters."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # slow to import
    from transformers import ModernBertConfig, ModernBertForMaskedLM, PreTrainedTokenizerFast

    tokens = [*_SPECIAL, *"abcdefghijklmnopqrstuvwxyz"]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    names = {f"{token[1:-1].lower()}_token": token for token in _SPECIAL}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    special: dict[str, Any] = {
        f"{name}_token_id": 0 for name in ("pad", "bos", "cls", "eos", "sep")
    }
    config = ModernBertConfig(
        vocab_size=len(tokens),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=16,
        **special,
    )
    torch.manual_seed(0)
    ModernBertForMaskedLM(config).save_pretrained(folder)


def write_words(path: Path, words: tuple[str, ...]) -> Path:
    """Write words as texts of a file of JSON lines."""
    write_whole(path, "".join(json.dumps({"text": word}) + "\n" for word in words).encode())
    return path


def training(out: Path, model: Path, data: Path, sizes: dict[str, Any], **changes: Any) -> OwnRun:
    """The configuration of a run without pictures or progress."""
    return OwnRun(
        out=out,
        model=str(model),
        data=Texts(str(data), length=_LENGTH),
        steps=sizes["steps"],
        batch_size=sizes["batch_size"],
        micro_batch=sizes["batch_size"],
        optimizer=Optimizer("adamw", sizes["rate"], warmup=sizes["steps"] // 10, ema_decay=0.99),
        reports=Reports(save_every=10**6, sample_every=0),
        device="cpu",
        **changes,
    )


def with_equal_work(run: OwnRun, work: float) -> OwnRun:
    """The run with as many steps as the work allows, in floating-point operations."""
    return replace(run, steps=max(1, round(work / outline(run).operations())))


@torch.no_grad()
def measure(student: Loaded, run: OwnRun, words: int) -> dict[str, float]:
    """Scores of a student on held-out words."""
    from full_scale.training.own import OwnTraining  # slow to import

    scored = part("test")[: min(words, _SCORED)]
    held_out = write_words(run.out / "held_out.jsonl", scored)
    texts = replace(run.data, name=str(held_out))
    rows = TextRows(texts, Encoder(student.base.tokenizer, _LENGTH), student.model.num_states)
    objective = OwnTraining(
        network=student.model,
        config=None,  # type: ignore[arg-type]
        process=student.process,
        recipe=replace(run.di4c_recipe, num_latents=_LATENTS),
        teacher=None,
        start=(torch.empty(0), torch.empty(0)),
    )
    draws = SampleGenerators(0, range(len(rows)), "held out")
    found = objective.loss(student.model, rows.columns, draws)
    use = objective.diagnose(student.model, rows.columns, torch.Generator().manual_seed(0))
    return {
        "loss": float(found.loss.mean()),
        "distillation": float(found.terms["distillation"].mean()),
        "captured": float(use["captured_correlation"]),
        **real_shares(student, words),
    }


def real_shares(student: Loaded, count: int, teacher: bool = False) -> dict[str, float]:
    """Shares of real words among words drawn in one and in two calls.

    The words have the lengths of held-out words, because padding is not drawn.
    """
    shares, known = {}, set(all_words())
    lengths = Counter(len(word) for word in part("test")[:count])
    for calls in (1, 2):
        generator = torch.Generator().manual_seed(calls)
        drawn: list[str] = []
        for length, times in sorted(lengths.items()):
            options = {"generator": generator, "teacher": teacher}
            drawn += student.complete([""] * times, length + 2, calls, **options)
        shares[f"real_share_{calls}"] = sum(word in known for word in drawn) / len(drawn)
    return shares


def compare(
    folder: Path, gains: list[float], seeds: int, quick: bool
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Train the teacher and all students: scores of the teacher, and one row for each student."""
    from full_scale.train import train  # slow to import, and all benchmarks import this module

    few = {"steps": 2, "batch_size": 2} if quick else {}
    words = 16 if quick else 1000
    write_model(folder / "tiny")
    data = write_words(folder / "words.jsonl", part("train")[: 100 if quick else None])
    train(
        training(folder / "teacher", folder / "tiny", data, _TEACHER | few, recipe="teacher"),
        progress=False,
    )
    work, shares, rows, base = None, {}, [], folder / "teacher" / "model"
    for kind in KINDS:
        for gain in gains:
            for seed in range(seeds):
                adapter = Adapter(latent=kind, latent_gain=gain)
                out = folder / f"{kind}-{gain}-{seed}"
                run = training(out, base, data, _STUDENT | few, adapter=adapter, seed=seed)
                work = work or run.steps * outline(run).operations()  # of latents that are added
                run = with_equal_work(run, work)
                train(run, progress=False)
                student = load_model(base, out)
                about = {"latent": kind, "gain": gain, "seed": seed, "steps": run.steps}
                rows.append(about | measure(student, run, words))
                shares = shares or real_shares(student, words, teacher=True)
    return shares, rows


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, one row for each kind and gain."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["latent"], row["gain"]), []).append(row)
    return [
        same[0] | {name: fmean(row[name] for row in same) for name in MEASURED}
        for same in groups.values()
    ]


def main(argv: list[str] | None = None) -> None:
    """Compare the kinds of latents, and print one row for each kind and gain."""
    parser = script_parser(__doc__, seed=False, figure=False)
    parser.prog = "python -m full_scale.bench own-latent"
    parser.add_argument("--seeds", type=at_least(1), default=3, help="students of each kind")
    parser.add_argument(
        "--gain", type=float, nargs="+", default=[0.0, 1.0], help="gains of the latent (0 1)"
    )
    args = parser.parse_args(argv)
    seeds = 1 if args.quick else args.seeds
    with tempfile.TemporaryDirectory() as folder:
        teacher, rows = compare(Path(folder), args.gain, seeds, args.quick)
    print(format_table(means(rows), _COLUMNS))
    shares = (f"{100 * teacher[f'real_share_{calls}']:.1f} % in {calls}" for calls in (1, 2))
    print(f"teacher: real share {', '.join(shares)} calls")
    if args.json:
        write_json(args.json, {"manifest": manifest(0), "teacher": teacher, "rows": rows})


_COLUMNS = {
    "latent": ("latent", "s"),
    "gain": ("gain", "g"),
    "steps": ("steps", "d"),
    "loss": ("loss", ".3f"),
    "distillation": ("distillation", ".4f"),
    "captured": ("captured", ".3f"),
    "real_share_1": ("real, 1 call", ".3f"),
    "real_share_2": ("real, 2 calls", ".3f"),
}
