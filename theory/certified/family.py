"""The processes whose certificates are recorded, and how they are called."""

from typing import Any

from theory.certified.recurrence import Entry

STEPS = range(1, 9)

_PROCESSES: list[tuple[str, list[str], str | None]] = [
    ("masked", ["1/2"], None),
    ("masked", ["1/2"], "1"),
    *(("two-state", [pi], None) for pi in ("1/2", "1/4", "1/10", "1/50", "0")),
    *(("two-state", [pi], "1") for pi in ("1/2", "1/4", "1/10", "0")),
]


def family() -> list[dict[str, Any]]:
    """Noise, pi, rate and N of all recorded certificates, the quickest first."""
    return [
        {"noise": noise, "pi": pi, "rate": rate, "N": num_steps}
        for noise, pi, rate in _PROCESSES
        for num_steps in STEPS
    ]


def title(entry: Entry) -> str:
    """The process in words."""
    schedule = "linear schedule" if entry["rate"] is None else f"(a + b) T = {entry['rate']}"
    if entry["noise"] == "masked":
        return f"masked, {schedule}"
    if entry["pi"] == ["1/2"]:
        return f"uniform, {schedule}"
    if entry["pi"] == ["0"]:
        return f"absorbing, {schedule}"
    share = entry["pi"][0] if len(entry["pi"]) == 1 else f"{entry['pi'][0]} to {entry['pi'][1]}"
    return f"two-state, pi = {share}, {schedule}"
