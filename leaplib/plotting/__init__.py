"""Panels: every function draws a tidy frame on the Axes that it is given, and returns the Axes."""
