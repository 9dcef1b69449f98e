"""One of two ranks of test_train_parallel: `-m tests.train_ranks RANK PORT FOLDER STRATEGY PRESET`.

Two ranks train a student for three steps; the first saves the whole state.
"""

import os
import sys
from pathlib import Path


def main(rank, port, folder, strategy, preset):
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
    from tests.train_cases import register, short_run, trainer

    register()
    run = short_run(Path(folder), preset, out=Path(folder) / strategy, strategy=strategy, steps=3)
    trainer(run, torch.float64).fit()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
