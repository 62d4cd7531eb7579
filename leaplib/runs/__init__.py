"""Running: recipes as jobs, where they run, what they cost, and what is kept when they fail."""
