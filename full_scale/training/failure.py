"""What a run writes when a loss or a gradient is not finite."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from full_scale.models.tensor_file import write_tensors
from full_scale.training.checkpoint import latest_checkpoint
from full_scale.training.config import Run

FAILURE = "failure"


def report_failure(
    run: Run,
    step: int,
    share: range,
    micro_batches: Sequence[Mapping[str, Tensor]],
    own: Mapping[str, Tensor],
    together: Mapping[str, Tensor],
    norm: float,
) -> ValueError:
    """Write the faulty micro-batches of this process, and return the error to raise.

    If the losses of all processes are finite, the gradient is at fault, and all micro-batches of
    this process are written. If only losses of another process are not finite, none is written.

    Args:
        run: configuration.
        step: the step that failed, counted from 0.
        share: numbers of this process's micro-batches within the step.
        micro_batches: examples of these micro-batches.
        own: loss and terms of the examples of this process.
        together: loss and terms of the examples of all processes.
        norm: norm of the gradient.

    Returns:
        An error of one line. It names terms, examples and files, and says what to do.
    """
    bad = {name: values for name, values in own.items() if not bool(values.isfinite().all())}
    gradient = all(bool(values.isfinite().all()) for values in together.values())
    where = "another process has the batch"
    for index, (part, batch) in enumerate(zip(share, micro_batches, strict=True)):
        rows = slice(index * run.micro_batch, (index + 1) * run.micro_batch)
        guilty = [name for name, values in bad.items() if not bool(values[rows].isfinite().all())]
        if guilty or gradient:
            path = run.out / FAILURE / f"step_{step:08d}_part_{part}.safetensors"
            values = {f"term.{name}": term[rows].contiguous() for name, term in own.items()}
            about = {"step": step, "part": part, "not_finite": guilty, "gradient_norm": str(norm)}
            try:
                write_tensors(path, {**batch, **values}, about)
            except OSError as error:  # a full disk must not hide what went wrong
                where = f"its batch cannot be written ({error})"
            else:
                where = f"its batch is in {path.parent}"
    wrong = [
        f"{name} is {float(values[~values.isfinite()][0])} for example "
        f"{int((~values.isfinite()).nonzero()[0])}"
        for name, values in together.items()
        if not bool(values.isfinite().all())
    ] or [f"the norm of the gradient is {norm}"]
    last = latest_checkpoint(run.out / "checkpoints")
    kept = f"the last good checkpoint is {last}" if last else "there is no checkpoint yet"
    return ValueError(
        f"step {step}: {'; '.join(wrong)}; {where}; {kept}: look at the batch, or "
        "start in another --out with a lower optimizer.learning_rate"
    )
