"""Laws that are known exactly, synthetic and from real data, and the registry of tasks."""
