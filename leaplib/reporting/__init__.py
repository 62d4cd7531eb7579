"""The report: executed notebooks as linked pages, with all figures and tables."""
