"""What a run costs: parameters, operations and memory, from its configuration alone.

Nothing is computed, and neither data nor weights are needed: networks are built on torch's meta
device, whose tensors have shapes but no values.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from di4c.likelihood import LinearHead
from di4c.recipes import Recipe, SeparateDistillation
from full_scale.models.base import DenoiserConfig
from full_scale.models.presets import preset
from full_scale.training.acceleration import blocks_of, checkpoint_blocks
from full_scale.training.config import Run

GIB = 2**30
_BACKWARD = 3  # cost of a call with gradients, relative to one without: 3 products instead of 1

SUSTAINED = {"no": 1e13, "bf16": 5e13, "cpu": 5e10}
"""Operations per second that we assume of a GPU in float32, of a GPU in bfloat16, and of a CPU.

An A100 has peaks of 1.95e13 and 3.12e14. A network in training reaches a part of that.
"""
PRECISIONS = {"no": "float32", "bf16": "bfloat16"}
_BYTES_PER_WEIGHT = 20  # weight, gradient, two moments, average: float32
_CGROUP = Path("/sys/fs/cgroup")
_CONTAINER = (  # files of limit and use, and key in memory.stat; first cgroup version 2, then 1
    ("memory.max", "memory.current", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
)


@dataclass(frozen=True)
class Estimate:
    """Bytes on one device.

    Attributes:
        weights: weights of the student, gradient, two moments and average, in float32.
        teacher: weights of the teacher.
        activations: what autograd keeps of one micro-batch.
    """

    weights: float
    teacher: float
    activations: float

    @property
    def total(self) -> float:
        """Sum of the three."""
        return self.weights + self.teacher + self.activations

    def __str__(self) -> str:
        return (
            f"{self.total / GIB:.2f} GiB a device: student {self.weights / GIB:.2f} (weights, "
            f"gradient, two moments, average), teacher {self.teacher / GIB:.2f}, activations of a "
            f"micro-batch {self.activations / GIB:.2f}"
        )


@dataclass(frozen=True)
class Outline:
    """The networks of a run, and what they cost.

    Attributes:
        run: configuration.
        trained: sizes of the network that is trained.
        teacher: sizes of its teacher; None where a teacher is trained.
    """

    run: Run
    trained: DenoiserConfig
    teacher: DenoiserConfig | None

    def parameters(self) -> dict[str, int]:
        """Number of parameters of each network."""
        counts = {"trained": num_parameters(self.trained)}
        if self.teacher is not None:
            counts["teacher"] = num_parameters(self.teacher)
        return counts

    def operations(self) -> float:
        """Floating-point operations of one step on the whole batch, without those of the losses."""
        run, own = self.run, operations(self.trained)
        trained_call = _BACKWARD + run.gradient_checkpointing  # which calls the blocks once more
        if self.teacher is None:
            return float(run.batch_size * trained_call * own)
        recipe = run.di4c_recipe
        latents = recipe.num_latents
        atoms = recipe.num_atoms if recipe.consistency_weight else 0
        asked = recipe.num_atoms if run.mixture_teacher else 1  # teacher calls for each state
        further = atoms * (recipe.teacher_steps - 1)  # later steps start from K states
        taught = asked * (1 + run.reference_steps) + further
        if isinstance(recipe.distillation, SeparateDistillation):
            taught += latents * asked * (1 + run.reference_steps)
        start = recipe.start
        if start is not None and start.weight:
            atoms += start.atoms
            taught += start.atoms * start.teacher_steps
            if self.teacher.default_process().masked and not run.mixture_teacher:
                taught -= start.atoms - 1  # all atoms start from the same state
        if recipe.kept is not None:
            atoms += recipe.kept.pool
        rows = rows_with_gradients(recipe)
        calls = own * (trained_call * rows + atoms) + operations(self.teacher) * taught
        return float(run.batch_size * calls)

    def hours(self, precision: str, num_processes: int = 1) -> float:
        """Hours of the whole run at the speed that `SUSTAINED` assumes.

        Args:
            precision: a key of `SUSTAINED`.
            num_processes: number of devices that share the work.
        """
        speed = SUSTAINED[precision] * num_processes
        return self.run.steps * self.operations() / speed / 3600

    def estimate(self, num_processes: int, num_dims: int | None = None) -> Estimate:
        """The memory that each process takes.

        Args:
            num_processes: number of processes that share the run.
            num_dims: D of the data; that of the preset if left out.
        """
        run, rows = self.run, self.run.micro_batch
        if self.teacher is not None:
            rows *= rows_with_gradients(run.di4c_recipe)
        with torch.device("meta"):
            inputs = self.trained.example_inputs(rows, num_dims)
            activations = activations_of(run, _on_meta(self.trained).train(), *inputs)
        activations += law_bytes(run, num_dims or self.trained.num_dims, self.trained.num_states)
        counts = self.parameters()
        shards = num_processes if run.strategy == "fsdp" else 1
        weights = _BYTES_PER_WEIGHT * counts["trained"] / shards
        return Estimate(weights, 4 * counts.get("teacher", 0), activations)


def outline(run: Run) -> Outline:
    """The networks that a run needs.

    Raises:
        ValueError: If the preset is unknown or has nothing to train.
    """
    chosen = preset(run.preset)
    if chosen.process is None or not isinstance(chosen.network, DenoiserConfig):
        raise ValueError(f"preset is {run.preset}, {chosen.title}, which cannot be trained here")
    if run.recipe == "teacher":
        return Outline(run, _with_dropout(chosen.network, run.dropout), None)
    teacher = chosen.student() if run.mixture_teacher else chosen.network
    return Outline(run, _with_dropout(chosen.student(), run.dropout), teacher)


def num_parameters(config: DenoiserConfig) -> int:
    """Number of parameters of a network."""
    return sum(parameter.numel() for parameter in _on_meta(config).parameters())


def operations(config: DenoiserConfig) -> int:
    """Floating-point operations of one call of a network and its head, for one example."""
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone = config.build().eval()
        features = backbone(*config.example_inputs(1))
        if isinstance(head := backbone.head(), LinearHead):
            torch.matmul(features, head.weight.T)
    return counter.get_total_flops()


def rows_with_gradients(recipe: Recipe) -> int:
    """Rows that one example sends through the student with gradients."""
    separate = isinstance(recipe.distillation, SeparateDistillation)
    data = recipe.data_weight.scale > 0 or recipe.data_marginal_weight > 0
    calls = separate + (data or recipe.consistency_weight > 0 or not separate)
    if recipe.start is not None:
        calls += recipe.start.latent_factor
    return calls * recipe.num_latents + (0 if recipe.kept is None else recipe.kept.states)


def law_bytes(run: Run, num_dims: int, num_states: int) -> int:
    """Bytes of the laws (D, S) that the losses of a micro-batch compare with, in float32."""
    if run.recipe == "teacher":
        return 0
    recipe = run.di4c_recipe
    laws = 1 + (recipe.consistency_weight > 0)
    if isinstance(recipe.distillation, SeparateDistillation):
        laws += recipe.num_latents  # each latent has a state of its own
    return 4 * run.micro_batch * laws * num_dims * num_states


def activations_of(run: Run, network: nn.Module, *inputs: Tensor | None) -> float:
    """Bytes that autograd keeps of a call in a run, which may checkpoint the network's blocks."""
    again = 0
    if run.gradient_checkpointing:
        again = largest_block(network, *inputs)
        checkpoint_blocks(network)
    kept = activation_bytes(network, *inputs) + again
    return kept / 2 if run.precision == "bf16" else kept


def activation_bytes(network: nn.Module, *inputs: Tensor | None) -> int:
    """Bytes that autograd keeps of one call. Shared memory counts once, parameters do not count.

    Args:
        network: on the meta device, in training mode.
        *inputs: arguments of the call, on the meta device.
    """
    with _kept(network) as count:
        result = network(*inputs)
        del result
        return count()


def largest_block(network: nn.Module, *inputs: Tensor | None) -> int:
    """Bytes that autograd keeps of the block that needs most. The arguments are as above."""
    sizes, started, hooks = [0], [0], []
    with _kept(network) as count:
        for block in blocks_of(network):
            before = block.register_forward_pre_hook(lambda *_: started.append(count()))
            after = block.register_forward_hook(lambda *_: sizes.append(count() - started[-1]))
            hooks += [before, after]
        result = network(*inputs)
        del result
    for hook in hooks:
        hook.remove()
    return max(sizes)


@contextmanager
def _kept(network: nn.Module) -> Iterator[Callable[[], int]]:
    """Yield a function that counts the bytes that autograd has kept in this context so far."""
    own = {p.untyped_storage()._cdata for p in network.parameters()}
    seen: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        seen[tensor.untyped_storage()._cdata] = tensor  # kept alive: no address is used again
        return tensor

    def count() -> int:
        return sum(t.untyped_storage().nbytes() for key, t in seen.items() if key not in own)

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield count


def free_memory(device: torch.device) -> int | None:
    """Free bytes on a device; None where the system does not report them."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
    return int(min(kilobytes["MemAvailable"] * 1024, _left_in_container()))


def require_fits(estimate: Estimate, free: int | None) -> None:
    """Raise a ValueError with the estimate if it exceeds the free memory."""
    if free is not None and estimate.total > free:
        raise ValueError(
            f"the run needs about {estimate}; {free / GIB:.2f} GiB are free: use a smaller "
            "--micro-batch, fewer --num-latents, --gradient-checkpointing, --strategy fsdp over "
            "more processes, or --no-check-memory"
        )


def _left_in_container() -> float:
    """Bytes that the container may still take; infinite where it has no limit.

    The recorded use includes the cache of files that were read. The inactive part of this cache is
    free memory, since the system gives it up at once.
    """
    for limit, use, inactive in _CONTAINER:
        try:
            allowed = (_CGROUP / limit).read_text().strip()
            used = int((_CGROUP / use).read_text())
            lines = (_CGROUP / limit).with_name("memory.stat").read_text().splitlines()
        except OSError:
            continue
        if allowed == "max":
            return math.inf
        given_up = int(dict(line.split() for line in lines).get(inactive, 0))
        return max(0, int(allowed) - used + given_up)
    return math.inf


def _with_dropout(config: DenoiserConfig, dropout: float | None) -> DenoiserConfig:
    return config if dropout is None else replace(config, dropout=dropout)


def _on_meta(config: DenoiserConfig) -> nn.Module:
    with torch.device("meta"):
        return config.build()
