"""Regressors under one contract: `fit(X, Y)` and `predict(X)`, Y a matrix with NaN where not measured."""

from leaplib.regressors.elastic_net import PSElasticNet
from leaplib.regressors.knn import PSKNN
from leaplib.regressors.lasso import PSLasso
from leaplib.regressors.lgbm import PPLgbm, PSLgbm
from leaplib.regressors.naive import TissueMean, TrainingMean, shuffle_labels
from leaplib.regressors.neural import PPMlp, PPTdnn
from leaplib.regressors.plus import SharedKernelRidge
from leaplib.regressors.ridge import DualRidge
from leaplib.regressors.tcrp import PSTcrp

__all__ = [
    "PSKNN", "DualRidge", "PPLgbm", "PPMlp", "PPTdnn", "PSElasticNet", "PSLasso", "PSLgbm", "PSTcrp",
    "SharedKernelRidge", "TissueMean", "TrainingMean", "shuffle_labels",
]  # fmt: skip
