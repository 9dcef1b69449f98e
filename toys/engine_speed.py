"""How fast the exact engine is, beside the dense construction and this machine's matrix products.

All in one run, float64, S = 2. One step is `posterior_marginals` and `product_step`; it is counted
as the 2 S^(2D) operations of its matrix product, so that its rate compares with dgemm directly.

- D = 12 (--quick: 10): building the dense kernels (the true reverse kernel, its marginals, their
  product) and multiplying them, against ours. Aim: at least 50 times faster.
- D = 16 and D = 20 (--quick: 14): the rate of a step over that of dgemm. Aims: 35 and 60 per cent,
  and below 14 GB at D = 20 (peak memory of a process of its own).
- Masked noise, D = 12 (3^12 states): 16 steps. Aim: below a minute.

The best of some repeats is reported: other work on the machine can only slow a run down. Takes
about three minutes, most of it at D = 20; --quick a few seconds, too few for steady numbers.

    python toys/engine_speed.py --json results/engine_speed.json
"""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from di4c import exact
from di4c.processes import MaskedProcess, UniformProcess
from di4c.schedules import uniform_grid
from reporting import at_least, format_table, manifest, run_script, script_parser, write_json

S, T = 0.5, 0.75  # the step that is timed
AIMS = {"D = 12": 50.0, "D = 16": 0.35, "D = 20": 0.60}


def main(argv: list[str] | None = None) -> None:
    """Print the table and write the record."""
    parser = script_parser(__doc__, figure=False)
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="threads; all cores")
    parser.add_argument(
        "--peak-of", type=at_least(1), metavar="D", help="one step at D, print its peak MiB"
    )
    args = parser.parse_args(argv)
    seed = args.seed or 0
    torch.set_num_threads(args.threads or os.cpu_count() or 1)
    if args.peak_of:
        _step(_law(args.peak_of, seed))()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    rows = [_against_dense(10 if args.quick else 12, seed)]
    size = 1024 if args.quick else 4096
    dgemm = _dgemm_rate(size)
    for num_dims, repeats in ((14, 5),) if args.quick else ((16, 5), (20, 2)):
        rows.append(_whole_step(num_dims, seed, repeats))
        dgemm = max(dgemm, _dgemm_rate(size))  # before and after: a disturbed one flatters us
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
    "of": ("of what", "s"),
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
    """One whole step from the noised law, marginals included."""
    process = UniformProcess(2)
    law = exact.forward_law(process, q_0, T)
    return lambda: exact.product_step(law, exact.posterior_marginals(process, q_0, S, T))


def _against_dense(num_dims: int, seed: int) -> dict[str, Any]:
    """Ours against building and multiplying dense kernels; both give the same law."""
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
    """The rate of one step, and the peak memory of a process that does only that."""
    seconds = _best(_step(_law(num_dims, seed)), repeats)
    rate = 2 * 4**num_dims / seconds
    command = [sys.executable, __file__, "--peak-of", str(num_dims), "--seed", str(seed)]
    peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    case = f"D = {num_dims}"
    return {"case": case, "seconds": seconds, "gflops": rate / 1e9} | {
        "of": "dgemm",
        "aim": AIMS.get(case),
        "peak_mib": float(peak),
    }


def _masked_seconds(num_dims: int, seed: int) -> dict[str, Any]:
    """Sixteen steps of masked noise from a random law."""
    process, q_0 = MaskedProcess(2), _law(num_dims, seed)
    started = time.perf_counter()
    exact.product_composition(process, q_0, uniform_grid(16))
    return {"dims": num_dims, "steps": 16, "seconds": time.perf_counter() - started}


if __name__ == "__main__":
    run_script(main)
