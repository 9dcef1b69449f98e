"""Speed and memory of losses, training steps and sampling.

python -m full_scale.bench loss --json results/loss_bench.json     the losses and their gradients
python -m full_scale.bench latency --json results/latency.json     mixture against product model
python -m full_scale.bench train --json results/train_bench.json   one step of each experiment
python -m full_scale.bench own --json results/own_bench.json       LoRA against two copies
python -m full_scale.bench own-latent --json results/own_latent.json   ways to give a latent
python -m full_scale.bench loss --help                             options of a benchmark
"""

from argparse import REMAINDER

from full_scale.bench import latency, loss, own, own_latent, train_step
from reporting import run_script, script_parser

BENCHMARKS = {
    "loss": loss.main,
    "latency": latency.main,
    "train": train_step.main,
    "own": own.main,
    "own-latent": own_latent.main,
}


def main(argv: list[str] | None = None) -> None:
    """Run one benchmark with the options that follow its name."""
    parser = script_parser(__doc__, seed=False, json=False, figure=False, quick=False)
    parser.add_argument("benchmark", choices=BENCHMARKS, help="what to measure")
    parser.add_argument("options", nargs=REMAINDER, help="options of the benchmark")
    args = parser.parse_args(argv)
    BENCHMARKS[args.benchmark](args.options)


if __name__ == "__main__":
    run_script(main)
