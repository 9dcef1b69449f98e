"""Mutants that change nothing: (file, line, line of the mutant) and the reason."""

EQUIVALENT: dict[tuple[str, str, str], str] = {}
