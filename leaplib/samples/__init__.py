"""Someone's own samples: tables in, models out; how sure a prediction is, and which genes drive it."""
