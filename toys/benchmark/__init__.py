"""The benchmark itself: metrics, runs and their cache, ranking, tables."""
