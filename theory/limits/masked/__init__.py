"""The limit of N TV_N for masked noise, and how the error depends on the grid."""
