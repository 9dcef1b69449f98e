"""One training step of a language model: LoRA against two copies and against all weights.

The models are ModernBERTs with random weights. A step is the Di4C objective with its gradients,
clipping and the optimiser. "lora" holds the weights once: the teacher is the student without its
adapters. "two copies" trains the same adapters and has a teacher of its own. "full" trains all
weights, which needs a copy for the teacher. Memory is the peak of building the model and of the
first step, so that it includes weights, gradients, optimiser and activations. Each peak is measured
in a new process. Times are medians over rounds in which the methods take turns. On a CPU they are
seconds of the processor, which other programs change little.

    python -m full_scale.bench own                              up to 8 million parameters: minutes
    python -m full_scale.bench own --size tiny small base       up to 150 million parameters, CPU
    python -m full_scale.bench own --size 8b --device cuda --autocast bfloat16 --method lora
    python -m full_scale.bench own --quick                      seconds

Expected: weights, gradients and moments take W with LoRA, 2 W with two copies and 5 W if all
weights are trained (W: bytes of the weights; adapters add little). The activations come on top
while there are no gradients and moments yet. They are nearly equal: each adapter keeps `rank`
numbers of each token. So LoRA needs the least memory, unless the model is tiny and the tokens are
many. A step of adapters computes no gradients of weights and moves few of them.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch

from di4c.objective import Di4CObjective
from di4c.processes import MaskedProcess
from full_scale.bench.measure import MIB, Case, Workload, check_device, memory
from full_scale.bench.networks import autocast
from full_scale.models.language.latent import Adapter, LatentLanguageModel
from full_scale.models.language.network import LanguageNetwork
from full_scale.training.own_run import OwnRun
from reporting import at_least, format_table, manifest, script_parser, write_json
from reporting.measure import in_fresh_process, seconds_of

SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": 1024,
    },
    "small": {
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "vocab_size": 16384,
    },
    "base": {
        "hidden_size": 768,
        "num_hidden_layers": 22,
        "num_attention_heads": 12,
        "vocab_size": 50368,
    },
    "8b": {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 126464,
        "intermediate_size": 12288,
    },
}
METHODS = ("lora", "two copies", "full")
_RANK, _MASK = 16, 1


class OwnStep(Workload):
    """A random language model, its optimiser and a random batch; each is built when needed."""

    def __init__(self, case: Case) -> None:
        super().__init__(case)
        self._step: Callable[[], float] | None = None

    @staticmethod
    def small(case: Case) -> Case:
        """See `Workload.small`."""
        return replace(case, sizes={"size": "tiny", "length": 8}, batch=1, num_latents=2)

    def lora(self) -> float:
        """A step with one copy of the weights."""
        return self._take("lora", copy=False)

    def two_copies(self) -> float:
        """A step with adapters and a teacher of its own."""
        return self._take("lora", copy=True)

    def full(self) -> float:
        """A step of all weights."""
        return self._take("full", copy=True)

    def _take(self, kind: str, copy: bool) -> float:
        if self._step is None:
            self._step = self._build(kind, copy)
        return self._step()

    def _build(self, kind: Any, copy: bool) -> Callable[[], float]:
        case = self.case
        model = LatentLanguageModel(random_model(case), Adapter(kind, _RANK, latent_gain=1.0))
        model.to(case.device)
        process = MaskedProcess(model.num_states, mask_state=_MASK)
        student = LanguageNetwork(model, process)
        teacher = replace(student, adapted=False)
        if copy:
            teacher = LanguageNetwork(model.frozen_copy(), process)
        recipe = OwnRun(num_latents=case.num_latents).di4c_recipe
        objective = Di4CObjective(process, student.mixture, teacher.mixture, recipe)
        optimizer = torch.optim.AdamW(model.trained().values(), lr=1e-5)
        generator = torch.Generator(case.device).manual_seed(case.seed)
        shape = (case.batch, case.sizes["length"])
        x_0 = torch.randint(
            _MASK + 1, model.num_states, shape, generator=generator, device=case.device
        )
        t = torch.full((case.batch,), 0.5, dtype=torch.float64, device=case.device)

        def step() -> float:
            with autocast(case, cache_enabled=False):
                loss = objective(x_0, generator=generator, times=(t, t - 0.1)).loss.mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.trained().values(), 1.0)
            optimizer.step()
            return float(loss.detach())

        return step


def random_model(case: Case) -> torch.nn.Module:
    """A ModernBERT with random weights; in bfloat16 where its step is."""
    from transformers import AutoModelForMaskedLM, ModernBertConfig  # slow to import

    sizes = SIZES[case.sizes["size"]]
    tokens = {f"{name}_token_id": 0 for name in ("pad", "bos", "cls", "eos", "sep")}
    options: dict[str, Any] = {"intermediate_size": 3 * sizes["hidden_size"] // 2} | sizes | tokens
    config = ModernBertConfig(**options)
    torch.manual_seed(case.seed)
    dtype = torch.bfloat16 if case.precision == "bfloat16" else torch.float32
    with torch.device(case.device):
        return AutoModelForMaskedLM.from_config(config, dtype=dtype)


def state_bytes(case: Case) -> dict[str, int]:
    """Bytes of weights, gradients and moments of each method; and the number of parameters."""
    sizes = {}
    for kind in ("lora", "full"):
        with torch.device("meta"):
            base = random_model(replace(case, device="meta"))
            sizes["parameters"] = sum(p.numel() for p in base.parameters())
            model = LatentLanguageModel(base, Adapter(kind, _RANK))
        weights = sum(p.nbytes for p in model.parameters())
        moved = 3 * sum(p.nbytes for p in model.trained().values())
        if kind == "lora":
            sizes["lora"] = weights + moved
        sizes["two copies" if kind == "lora" else "full"] = 2 * weights + moved
    return sizes


def step_seconds(case: Case, methods: list[str], rounds: int) -> dict[str, list[float]]:
    """Times of steps, after first ones that build everything. The methods take turns."""
    steps = {name: getattr(OwnStep(case), name.replace(" ", "_")) for name in methods}
    clock = time.process_time if case.device == "cpu" else time.perf_counter
    return seconds_of(steps, rounds, case.device, clock=clock)


def compare(case: Case, methods: list[str], rounds: int) -> list[dict[str, Any]]:
    """One row for each method. Numbers are None where the device has too little memory."""
    state = state_bytes(case)
    peaks = {
        name: in_fresh_process(memory, OwnStep, case, name.replace(" ", "_"), lean=True)
        for name in methods
    }
    fits = [name for name in methods if peaks[name] is not None]
    times = in_fresh_process(step_seconds, case, fits, rounds) if fits else {}
    return [
        {
            "size": case.sizes["size"],
            "parameters": state["parameters"],
            "method": name,
            "seconds": statistics.median(times[name]) if name in times else None,
            "clock": "processor" if case.device == "cpu" else "wall",
            "state_mib": state[name] / MIB,
            "peak_mib": None if peaks[name] is None else peaks[name] / MIB,
            "case": asdict(case),
        }
        for name in methods
    ]


def main(argv: list[str] | None = None) -> None:
    """Measure and print, one row for each size and method."""
    parser = script_parser(__doc__, figure=False)
    parser.prog = "python -m full_scale.bench own"
    add = parser.add_argument
    add("--size", nargs="+", choices=SIZES, help="sizes of the model (tiny small)")
    add("--method", nargs="+", choices=METHODS, default=[*METHODS], help="what to compare (all)")
    add("--batch", type=at_least(1), default=1, metavar="INT", help="examples of a step (1)")
    add(
        "--length",
        type=at_least(1),
        metavar="INT",
        help="tokens of an example (32; 16 with --quick)",
    )
    add("--latents", type=at_least(1), default=2, metavar="INT", help="latents of an example (2)")
    add("--repeats", type=at_least(1), metavar="INT", help="timed steps (5; 1 with --quick)")
    add("--threads", type=at_least(1), default=1, metavar="INT", help="CPU threads (1)")
    add("--device", choices=["cpu", "cuda"], default="cpu", help="where to compute (cpu)")
    add(
        "--autocast", choices=["float32", "bfloat16"], default="float32", help="precision (float32)"
    )
    args = parser.parse_args(argv)
    check_device(args.device)
    length = args.length or (16 if args.quick else 32)
    repeats = args.repeats or (1 if args.quick else 5)
    rows = []
    for size in args.size or (["tiny"] if args.quick else ["tiny", "small"]):
        case = Case(
            experiment="own",
            batch=args.batch,
            sizes={"size": size, "length": length},
            num_latents=args.latents,
            device=args.device,
            precision=args.autocast,
            threads=args.threads,
            seed=args.seed,
        )
        rows += compare(case, args.method, repeats)
    print(format_table(rows, _COLUMNS))
    if args.json:
        write_json(args.json, {"manifest": manifest(args.seed), "rows": rows})


_COLUMNS = {
    "size": ("size", "s"),
    "parameters": ("parameters", ",d"),
    "method": ("method", "s"),
    "seconds": ("seconds", ".3f"),
    "state_mib": ("state MiB", ".1f"),
    "peak_mib": ("peak MiB", ".1f"),
}
