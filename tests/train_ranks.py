"""One of two ranks of test_train_parallel: `-m tests.train_ranks RANK PORT FOLDER`.

Two ranks train a student of each kind, stopped and resumed, as copies and as shards of its weights.
"""

import os
import sys
from pathlib import Path


def main(rank, port, folder):
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
    from tests.train_cases import KINDS, register, short_run, trainer

    register()
    for preset in KINDS:
        for strategy in ("ddp", "fsdp"):
            here = Path(folder) / preset
            for steps in (2, 3):  # the second one resumes the first
                run = short_run(here, preset, out=here / strategy, strategy=strategy, steps=steps)
                trainer(run, torch.float64).fit()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
