"""Regressors under one contract: `fit(X, Y)` and `predict(X)`, Y a matrix with NaN where not measured."""
