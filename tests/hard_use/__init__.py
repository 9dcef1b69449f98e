"""Hard use at length: what the tests try a few times, tried hundreds of times. Run by hand."""

PARTS = ("calls", "files", "fuzz", "kills", "mutation", "numerics", "orders")
"""The parts. Each is a module of this package with a function

    run(seed: int, share: float) -> Iterator[dict[str, Any]]

which yields figures as JSON, and yields them again whenever more is done. "failures" is the list of
what went wrong, one line each. `share` is the share of the kills, examples, runs or mutants of the
code that are made; tables and mutants of files are always tried whole.
"""

RANDOM_PARTS = ("kills", "numerics", "orders")
"""The parts whose figures for several seeds can be added up."""
