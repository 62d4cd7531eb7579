"""Where the files come from, how they are verified, how they are read. Nothing else."""
