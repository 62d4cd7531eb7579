"""Ablations: the variants of LEAP that the paper compares, and their results."""
