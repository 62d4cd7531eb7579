"""Regressors under one contract: `fit(X, Y)` and `predict(X)`, Y a matrix with NaN where not measured."""

from leaplib.regressors.knn import PSKNN
from leaplib.regressors.lasso import PSLasso
from leaplib.regressors.lgbm import PPLgbm, PSLgbm
from leaplib.regressors.naive import TissueMean, TrainingMean, shuffle_labels

__all__ = ["PSKNN", "PPLgbm", "PSLasso", "PSLgbm", "TissueMean", "TrainingMean", "shuffle_labels"]
