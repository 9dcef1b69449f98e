"""The leaderboard: runs, their cache, metrics and ranking."""
