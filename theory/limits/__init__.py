"""The limit of N TV as the number of steps N grows, and the best time grids."""
