"""Running: one list of jobs, where they run, what they cost, and what is kept when they fail."""
