"""What a multirun adds to single runs: records of its jobs, their share of the machine, a leaderboard."""
