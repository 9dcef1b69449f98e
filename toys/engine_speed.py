"""How fast is the exact engine? Compared with dense kernels and with plain matrix products.

Everything runs in float64 with S = 2. One step is `posterior_marginals` and `product_step`. It
counts as the 2 S^(2D) operations of its matrix product, so its rate in GFLOP/s compares with the
rate of a plain matrix product (dgemm).

- D = 12 (--quick: 10): time of the dense kernels divided by ours. The dense way builds the true
  reverse kernel, its marginals and their product, and multiplies by it. Aim: at least 50.
- D = 16 and D = 20 (--quick: 14): rate of a step divided by that of dgemm. Aims: 0.35 and 0.60.
  Also the memory that a process of its own takes for this; aim at D = 20: below 14 GB.
- Masked noise, D = 12 (3^12 states): seconds of 16 steps. Aim: below a minute.

Of several repeats the fastest counts, as other work on the machine can only slow a run down.
Expected on two cores: 331 times faster at D = 12, 0.65 of dgemm at D = 16 and 0.81 at D = 20, and
17 seconds with masks. Takes about three minutes, most of it at D = 20; --quick takes seconds, too
few for steady numbers.

    python toys/engine_speed.py --json results/engine_speed.json
"""

import os
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from di4c import exact
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import uniform_grid
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json
from reporting.measure import Meter, in_fresh_process

S, T = 0.5, 0.75  # the step that is timed
AIMS = {"D = 12": 50.0, "D = 16": 0.35, "D = 20": 0.60}


def main(argv: list[str] | None = None) -> None:
    """Print the table and write the record."""
    parser = script_parser(__doc__, figure=False)
    parser.add_argument(
        "--threads", type=at_least(1, 1024), metavar="N", help="threads (default: all cores)"
    )
    args = parser.parse_args(argv)
    seed = args.seed
    torch.set_num_threads(args.threads or os.cpu_count() or 1)
    rows = [_against_dense(10 if args.quick else 12, seed)]
    size = 1024 if args.quick else 4096
    dgemm = _dgemm_rate(size)
    for num_dims, repeats in ((14, 5),) if args.quick else ((16, 5), (20, 2)):
        rows.append(_whole_step(num_dims, seed, repeats))
        dgemm = max(dgemm, _dgemm_rate(size))  # the fastest: a disturbed one flatters us
    for row in rows[1:]:
        row["ratio"] = row["gflops"] * 1e9 / dgemm
    masked = _masked_seconds(8 if args.quick else 12, seed)
    print(f"dgemm: {dgemm / 1e9:.1f} GFLOP/s on {torch.get_num_threads()} threads")
    print(format_table(rows, COLUMNS))
    print(f"masked, D = {masked['dims']}: 16 steps in {masked['seconds']:.1f} s")
    if args.json:
        result = {"dgemm_gflops": dgemm / 1e9, "rows": rows, "masked": masked, "quick": args.quick}
        write_json(args.json, {"manifest": manifest(seed)} | result)
        print(f"written to {args.json}")


COLUMNS = {
    "case": ("case", "s"),
    "seconds": ("seconds", ".4f"),
    "gflops": ("GFLOP/s", ".1f"),
    "ratio": ("ratio", ".3g"),
    "of": ("ratio of", "s"),
    "aim": ("aim", ".2g"),
    "peak_mib": ("peak MiB", ".0f"),
}


def _law(num_dims: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(2**num_dims, dtype=torch.float64, generator=generator) + 0.1
    return weights / weights.sum()


def _best(call: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _dgemm_rate(size: int) -> float:
    """Operations per second of a square float64 matrix product."""
    left, right = torch.rand(2, size, size, dtype=torch.float64)
    return 2 * size**3 / _best(lambda: left @ right, 4)


def _step(q_0: Tensor) -> Callable[[], Tensor]:
    """A function that makes one step from the noised law, posterior marginals included."""
    process = UniformProcess(2)
    law = exact.forward_law(process, q_0, T)
    return lambda: exact.product_step(law, exact.posterior_marginals(process, q_0, S, T))


def _against_dense(num_dims: int, seed: int) -> dict[str, Any]:
    """Time of dense kernels divided by ours; checks that both give the same law."""
    process, q_0 = UniformProcess(2), _law(num_dims, seed)
    law = exact.forward_law(process, q_0, T)

    def dense() -> Tensor:
        marginals = exact.marginals(exact.reverse_kernel(process, q_0, S, T), num_dims, 2)
        return law @ exact.product_kernel(marginals)

    step = _step(q_0)
    difference = float((dense() - step()).abs().max())
    if difference > 1e-12:
        raise RuntimeError(f"dense and ours differ by {difference}")
    seconds = _best(step, 20)
    ratio = _best(dense, 3) / seconds
    case = f"D = {num_dims}"
    return {"case": case, "seconds": seconds, "ratio": ratio, "of": "dense / ours"} | {
        "gflops": None,
        "aim": AIMS.get(case),
        "peak_mib": None,
    }


def _whole_step(num_dims: int, seed: int, repeats: int) -> dict[str, Any]:
    """The rate of one step, and the memory of a process that makes one step."""
    seconds = _best(_step(_law(num_dims, seed)), repeats)
    case = f"D = {num_dims}"
    return {"case": case, "seconds": seconds, "gflops": 2 * 4**num_dims / seconds / 1e9} | {
        "of": "dgemm",
        "aim": AIMS.get(case),
        "peak_mib": in_fresh_process(_peak_mib, num_dims, seed),
    }


def _peak_mib(num_dims: int, seed: int) -> float | None:
    """MiB that the law and one step add to the process, None if that cannot be measured."""
    with Meter() as meter:
        _step(_law(num_dims, seed))()
    return None if meter.memory is None else meter.memory / 2**20


def _masked_seconds(num_dims: int, seed: int) -> dict[str, Any]:
    """Sixteen steps of masked noise from a random law."""
    process, q_0 = MaskedProcess(2), _law(num_dims, seed)
    started = time.perf_counter()
    exact.product_composition(process, q_0, uniform_grid(16))
    return {"dims": num_dims, "steps": 16, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    run_script(main)
