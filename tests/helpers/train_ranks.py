"""One of two ranks of test_train_parallel: `-m tests.helpers.train_ranks RANK PORT FOLDER [bf16]`.

Two ranks train a student of each kind, stopped and resumed, as copies and as shards of its weights;
or write the gradients of one step under autocast.
"""

import itertools
import os
import sys
from pathlib import Path


def main(rank, port, folder, precision="no"):
    os.environ |= {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    import torch

    torch.set_num_threads(1)
    from tests.helpers.train_cases import KINDS, register, short_run, trainer

    register()
    if precision == "bf16":
        for preset, strategy in itertools.product(KINDS, ("ddp", "fsdp")):
            here = Path(folder) / preset
            write_gradients(short_run(here, preset, out=here / strategy, strategy=strategy))
        torch.distributed.destroy_process_group()
        return
    for preset in KINDS:
        for strategy in ("ddp", "fsdp"):
            here = Path(folder) / preset
            for steps in (2, 3):  # the second one resumes the first
                run = short_run(here, preset, out=here / strategy, strategy=strategy, steps=steps)
                trainer(run, torch.float64).fit()
    torch.distributed.destroy_process_group()


def write_gradients(run):
    """Gradients of the first step under bfloat16 autocast, clipped; None where there is none."""
    import torch

    from tests.helpers.train_cases import trainer

    one = trainer(run, precision="bf16")
    one._advance(next(iter(one._batches())), False)
    found = {}
    for name, parameter in one.plain.named_parameters():
        grad = parameter.grad
        found[name] = grad.full_tensor() if hasattr(grad, "full_tensor") else grad
    run.out.mkdir(exist_ok=True)
    torch.save(found, run.out / f"gradients_{one.accelerator.process_index}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
