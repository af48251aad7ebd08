"""Scenarios: what is to be driven and what counts, from suite files or CARLA leaderboard route files."""
