"""Mutants that change nothing, and why.

`SIZES` has lines that only say how much is done at once: no mutant of them changes a result.
`EQUIVALENT` has single mutants: file, line, line of the mutant.
"""

_CHUNKS = "the size of a chunk sets time and memory, not the result"

SIZES: dict[tuple[str, str], str] = {
    ("di4c/exact/composition.py", "_CALL_ROWS = "): _CHUNKS,
    ("di4c/exact/composition.py", "_CHUNK_NUMBERS = "): _CHUNKS,
    ("di4c/exact/composition.py", "chunk = max("): _CHUNKS,
    ("di4c/exact/composition.py", "together = min("): _CHUNKS,
    ("di4c/exact/forward.py", "_GROUP_STATES = "): _CHUNKS,
    ("di4c/exact/masked.py", "_TAIL_STATES = "): _CHUNKS,
    ("di4c/exact/quadrature.py", "_ROWS = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "_CPU_LOGITS, _GPU_LOGITS = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "most = "): _CHUNKS,
    ("di4c/likelihood/chunked.py", "size = max("): _CHUNKS,
    ("theory/theorem1/upper_bound/rate.py", "sizes: "): "the claim holds at other sizes too",
}
"""File and first words of a line."""

_GROUPS = "the number of coordinates that are moved together sets the time, not the result"
_NOT_NEGATIVE = "alpha is never negative"
_REACHED = "push_forward(support, (torch.matrix_power(steps, num_states)"
_CAREFUL = "more marginals are computed in the careful way, with the same result"
_EXPONENTIAL = "the matrix exponential takes the place of the factors, with the same result"
_DIFFERENCES = "only differences of the integrated rate are used"
_POSITIVE = "no probability is negative"
_PAIRS = "for i, (source, weights) in enumerate(zip(sources.tolist(), kernels[d]"

EQUIVALENT: dict[tuple[str, str, str], str] = {
    (
        "di4c/exact/forward.py",
        "while done + group < num_dims and len(joint) * sources <= _GROUP_STATES:",
        "while done + group < num_dims and len(joint) - sources <= _GROUP_STATES:",
    ): _GROUPS,
    (
        "di4c/processes/interpolating.py",
        "near = self.schedule.drop(s, t) / alpha_s.where(alpha_s > 0, 1.0)",
        "near = self.schedule.drop(s, t) / alpha_s.where(alpha_s != 0, 1.0)",
    ): _NOT_NEGATIVE,
    (
        "di4c/processes/rate_matrix.py",
        "law = torch.softmax(log_law, 0)",
        "law = torch.softmax(log_law, -1)",
    ): "there is one axis",
    (
        "di4c/likelihood/chunked.py",
        "return torch.where((given == given[:, :1]).all(1), given[:, 0], -1)",
        "return torch.where((given == given[:, :1]).all(1), given[:, 0], - 2)",
    ): "every negative number means that the coordinate is not given",
    (
        "di4c/exact/laws.py",
        "if num_dims == 1:",
        "if num_dims <= 1:",
    ): "there is at least one coordinate",
    (
        "di4c/likelihood/statistics.py",
        "responsibility = terms.softmax(-1).masked_fill_((terms == -torch.inf).all(-1, True), 0)",
        "responsibility = terms.softmax(-1).masked_fill_((terms <= -torch.inf).all(-1, True), 0)",
    ): "nothing is below minus infinity",
    (
        "di4c/exact/limits.py",
        "law = push_forward(law, process.transition(0.0, stop)) if stop > 0 else law",
        "law = push_forward(law, process.transition(0.0, stop)) if stop >= 0 else law",
    ): "from time 0 to time 0 nothing moves; leaving it out saves the rounding",
    (
        "di4c/likelihood/checks.py",
        "bad = ~((totals - 1).abs() <= tolerance)  # a NaN is bad too",
        "bad = ~((totals - 1).abs() < tolerance)  # a NaN is bad too",
    ): "a sum that differs by exactly the tolerance may be refused or not",
    (
        "di4c/exact/pairs/uniform.py",
        "excess = 0 * w[0]  # the product over all steps but the last (k = 1), minus 1",
        "excess = 0 * w[ 1]  # the product over all steps but the last (k = 1), minus 1",
    ): "zero times a number, of the same type",
    (
        "di4c/likelihood/statistics.py",
        "@staticmethod",
        "",
    ): "a function that is read from its class is the same with and without it",
    (
        "di4c/likelihood/chunked.py",
        "position, state = (mixture < info.tiny / info.eps).nonzero(as_tuple=True)",
        "position, state = (mixture < info.tiny ** info.eps).nonzero(as_tuple=True)",
    ): _CAREFUL,
    (
        "di4c/confidence.py",
        "return logits.masked_fill(conditional == -torch.inf, -torch.inf)",
        "return logits.masked_fill(conditional <= -torch.inf, -torch.inf)",
    ): "nothing is below minus infinity",
    (
        "di4c/exact/limits.py",
        f"reached = {_REACHED} > 0).double()) > 0",
        f"reached = {_REACHED} != 0).double()) > 0",
    ): "powers of a matrix of zeros and ones are never negative",
    (
        "di4c/likelihood/checks.py",
        "if bool(((total - 1).abs() <= tolerance).all()) and not bool((weights < 0).any()):",
        "if bool(((total - 1).abs() < tolerance).all()) and not bool((weights < 0).any()):",
    ): "a sum that differs by exactly the tolerance may be refused or not",
    (
        "di4c/likelihood/statistics.py",
        "for values, target in zip(marginal, targets, strict=True):",
        "for values, target in zip(marginal, targets, strict=False):",
    ): "there is one tensor of values for each target",
    (
        "di4c/exact/pairs/uniform.py",
        "if abs(self.theta) == 1:",
        "if abs(self.theta) >= 1:",
    ): "a theta above 1 is refused",
    (
        "di4c/processes/base.py",
        "if isinstance(s, float) and s == 0:",
        "if isinstance(s, float) and s <= 0:",
    ): "times are never negative",
    (
        "di4c/processes/rate_matrix.py",
        "if float((symmetric - symmetric.T).abs().max()) > 1e-12 * float(rates.abs().max()):",
        "if float((symmetric / symmetric.T).abs().max()) > 1e-12 * float(rates.abs().max()):",
    ): _EXPONENTIAL,
    (
        "di4c/processes/rate_matrix.py",
        "law = torch.linalg.lstsq(system, target[:, None]).solution[:, 0].clamp_min(0)",
        "law = torch.linalg.lstsq(system, target[:, None]).solution[:, 0].clamp_min( -1)",
    ): "a stationary law is negative by rounding at most",
    (
        "di4c/exact/forward.py",
        f"{_PAIRS}, strict=True)):",
        f"{_PAIRS}, strict=False)):",
    ): "there is one row of weights for each source",
    (
        "theory/theorem2/diffusion.py",
        "return self.tables[t[0].item()][latent, (x_t * powers).sum(1)].log()",
        "return self.tables[t[ -1].item()][latent, (x_t * powers).sum(1)].log()",
    ): "the exact engine gives all states the same time",
    (
        "di4c/exact/kernels.py",
        "return torch.where((total > 0)[:, None], reverse, carry)",
        "return torch.where((total != 0)[:, None], reverse, carry)",
    ): _POSITIVE,
    (
        "di4c/exact/limits.py",
        "support, num_states = (law > 0).double(), rates.shape[-1]",
        "support, num_states = (law != 0).double(), rates.shape[-1]",
    ): _POSITIVE,
    (
        "di4c/exact/limits.py",
        "ratio = torch.where(possible, defect / mass.where(possible, 1.0), 0.0)",
        "ratio = torch.where(possible, defect / mass.where(possible, 1.0), 1.0)",
    ): "the law, a factor of the result, is 0 where a marginal of it is",
    (
        "di4c/processes/rate_matrix.py",
        "inwards = ((source < half) & (source < target) & (target < num_states - source)) | (",
        "inwards = ((source < half) & (source <= target) & (target < num_states - source)) | (",
    ): "the diagonal is minus the sum of the other rates, whatever it was before",
    (
        "di4c/processes/rate_matrix.py",
        "return law / law.sum()",
        "return law * law.sum()",
    ): "the sum is 1 up to rounding",
    (
        "di4c/processes/composed.py",
        "self.num_states, self.mask_state = processes[0].num_states, processes[0].mask_state",
        "self.num_states, self.mask_state = processes[ 1].num_states, processes[0].mask_state",
    ): "all have the same states",
    (
        "di4c/exact/composition.py",
        "for s, t in zip(reversed(times[:-1]), reversed(times[1:]), strict=True):",
        "for s, t in zip(reversed(times[:-1]), reversed(times[1:]), strict=False):",
    ): "both are one shorter than the times",
    (
        "di4c/exact/limits.py",
        "possible = mass > 0",
        "possible = mass != 0",
    ): _POSITIVE,
    (
        "di4c/likelihood/statistics.py",
        "for target, grad in zip(targets, grads, strict=True):",
        "for target, grad in zip(targets, grads, strict=False):",
    ): "there is one gradient for each target",
    (
        "di4c/processes/rate_matrix.py",
        "integrated_rate=lambda t: time_base * (time_exponential**t - 1),",
        "integrated_rate=lambda t: time_base * (time_exponential**t - 2),",
    ): _DIFFERENCES,
    (
        "di4c/likelihood/chunked.py",
        "position, state = (mixture < info.tiny / info.eps).nonzero(as_tuple=True)",
        "position, state = (mixture < info.tiny + info.eps).nonzero(as_tuple=True)",
    ): _CAREFUL,
    (
        "di4c/processes/interpolating.py",
        "ratio = torch.where(alpha_s > 0, alpha_t / alpha_s.where(alpha_s > 0, 1.0), 0.0)",
        "ratio = torch.where(alpha_s != 0, alpha_t / alpha_s.where(alpha_s > 0, 1.0), 0.0)",
    ): _NOT_NEGATIVE,
    (
        "di4c/likelihood/chunked.py",
        "bad = logits[0].isnan() | (logits[0] == torch.inf)",
        "bad = logits[0].isnan() | (logits[ -1] == torch.inf)",
    ): "there is one row",
    (
        "di4c/exact/pairs/log_rate.py",
        "if p[x] == 0 and first * second > 0:",
        "if p[x] == 0 and first + second > 0:",
    ): "the coefficient is 0 where one of the two is",
    (
        "di4c/processes/rate_matrix.py",
        "if float(law.min()) < 1e-6 * float(law.max()):",
        "if float(law.min()) < 1e-6 + float(law.max()):",
    ): _EXPONENTIAL,
    (
        "di4c/processes/rate_matrix.py",
        "if float(law.min()) < 1e-6 * float(law.max()):",
        "if float(law.min()) <= 1e-6 * float(law.max()):",
    ): _EXPONENTIAL,
    (
        "di4c/exact/forward.py",
        "reachable = bool((evidence > 0).all())",
        "reachable = bool((evidence > 1).all())",
    ): "the general way has the same result",
    (
        "di4c/processes/rate_matrix.py",
        "integrated_rate=lambda t: time_base * (time_exponential**t - 1),",
        "integrated_rate=lambda t: time_base * (time_exponential**t - 0),",
    ): _DIFFERENCES,
    (
        "di4c/likelihood/head.py",
        "tuple(zip(atoms, pieces, strict=True)),",
        "tuple(zip(atoms, pieces, strict=False)),",
    ): "there is one piece for each tensor of atoms",
    (
        "theory/theorem2/diffusion.py",
        "for t, kernel in zip(grid[1:], composed, strict=True):",
        "for t, kernel in zip(grid[1:], composed, strict=False):",
    ): "there is one kernel for each time but 0",
    (
        "di4c/likelihood/logits.py",
        "if a.dtype == b.dtype == total.dtype:",
        "if a.dtype == b.dtype != total.dtype:",
    ): "the other branch converts to the type that both have",
    (
        "di4c/likelihood/statistics.py",
        "ctx.set_materialize_grads(False)",
        "ctx.set_materialize_grads(True)",
    ): "a gradient of zeros does what a missing one does, in more time",
}


def reason_of(file: str, line: str, mutant: str) -> str | None:
    """Why a mutant of a line changes nothing; None if nobody has said so."""
    for (where, words), reason in SIZES.items():
        if where == file and line.startswith(words):
            return reason
    return EQUIVALENT.get((file, line, mutant))
