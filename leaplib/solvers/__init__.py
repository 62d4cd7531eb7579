"""Solvers: the batched Lasso path, and MAML for PS-TCRP."""
