"""Panels on Axes, and the pages of the paper made of them."""
