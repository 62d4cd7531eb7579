"""From saved results to comparisons, tables and claims."""
