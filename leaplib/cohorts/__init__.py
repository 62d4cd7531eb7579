"""From a screen to a cohort: selection rules, expression, splits, fingerprints, simulation."""
