"""Executed notebooks as linked pages."""
