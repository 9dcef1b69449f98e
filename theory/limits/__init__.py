"""The limit of N TV_N for many steps N, and the best time grids."""
