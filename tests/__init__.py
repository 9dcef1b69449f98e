"""Everything that `make test` runs beside the claims of theory/."""
