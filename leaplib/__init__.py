"""leaplib: predicting how cancer models respond to gene knockouts and drugs, from gene expression."""

import os

# Idle OpenMP threads sleep instead of spinning: where other processes share the cores, small matrix
# products are otherwise slowed down more than tenfold. It must be set before torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.7.0"

from leaplib.base.errors import InputError
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.expression import ExpressionScaler
from leaplib.models.gene_models import LEAPPlus, PSRidge
from leaplib.models.knn import PSKNN
from leaplib.models.lasso import PSLasso
from leaplib.models.leap import LEAP
from leaplib.representation.damae import DAMAE

__all__ = ["DAMAE", "LEAP", "PSKNN", "Cohort", "ExpressionScaler", "InputError", "LEAPPlus", "PSLasso", "PSRidge"]
