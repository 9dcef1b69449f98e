"""Mutants that change nothing: (file, line, line of the mutant) and the reason."""

_GROUPS = "the number of coordinates that are moved together sets the time, not the result"
_NOT_NEGATIVE = "alpha is never negative"

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
}
