"""A new table of expression brought to the genes, the unit and the platform of a model's training table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError
from leaplib.samples.tables import refuse_samples

MATCHES = ("none", "domain", "quantile")
MIN_DOMAIN = 10
N_QUANTILES = 1001
MAX_MISSING = 0.2


@dataclass(frozen=True)
class Reference:
    """What a model's training table looked like.

    Parameters
    ----------
    genes : DataFrame, one row a gene
        mean, sd (over the training samples), needed (whether the model uses the gene).
    quantiles : array, 1001
        Evenly spaced quantiles of the values of a training sample, averaged over the samples.
    unit : {"log2(TPM+1)", "z-score"}
        "z-score": of each sample over its genes.
    """

    genes: pd.DataFrame
    quantiles: np.ndarray
    unit: str

    @classmethod
    def fit(cls, expression: pd.DataFrame, unit: str, needed: pd.Index) -> "Reference":
        """Learn from the training samples (samples x genes); `needed` are the genes that the model uses."""
        sd = expression.std(axis=0, ddof=0)
        genes = pd.DataFrame({"mean": expression.mean(axis=0), "sd": sd, "needed": expression.columns.isin(needed)})
        levels = np.linspace(0, 1, N_QUANTILES)
        return cls(genes, np.quantile(expression.to_numpy(dtype=float), levels, axis=1).mean(axis=1), unit)

    def prepare(
        self,
        expression: pd.DataFrame,
        units: str,
        match: str = "none",
        max_missing: float = MAX_MISSING,
        where: str = "expression",
    ) -> tuple[pd.DataFrame, list[str]]:
        """Return the genes that the model needs, as it needs them, and what was done in words.

        Parameters
        ----------
        expression : DataFrame, samples x genes
            log2(TPM+1), or z-scores; NaN where missing.
        units : str
            What the table held before `leaplib.samples.tables.as_log`.
        match : {"none", "domain", "quantile"}
            For another platform. "domain": each gene is brought to the training samples' mean and SD, over all
            new samples (10 at least). "quantile": each sample's values are brought to the distribution of a training
            sample by their ranks.
        max_missing : float
            Largest share of the needed genes that may be missing, in the table or in a sample. A missing value
            becomes the gene's mean over the training samples.
        where : str
            File to name in messages.
        """
        if match not in MATCHES:
            raise InputError(f"match {match!r} is unknown: use one of {', '.join(MATCHES)}")
        if not 0 <= max_missing < 1:
            raise InputError(f"max-missing {max_missing}: it must be a share, from 0 to below 1")
        notes = self._count_missing(expression, max_missing, where)
        values = expression.loc[:, expression.columns.isin(self.genes.index)].astype(float)
        if self.unit == "z-score" and units != "z-score":
            spread = values.std(axis=1, ddof=0)
            refuse_samples(~(spread > 0), where, "does not vary over genes: drop it")
            values = values.sub(values.mean(axis=1), axis=0).div(spread, axis=0)
            notes.append(f"each sample was z-scored over its {values.shape[1]:,} known genes, as in training")
        elif self.unit != "z-score" and units == "z-score" and match == "none":
            remedy = "give TPM or counts, or match the platforms with --match domain or quantile"
            raise InputError(f"{where}: z-scores, but the model was trained on {self.unit}: {remedy}")
        if match == "quantile":
            values = self._by_quantiles(values)
            notes.append("each sample was brought to the distribution of the training samples")
        elif match == "domain":
            values = self._by_domain(values, where)
            notes.append(f"genes were brought to the training means and SDs over {len(values)} samples")
        needed = self.genes[self.genes["needed"]]
        return values.reindex(columns=needed.index).fillna(needed["mean"]), notes

    def _count_missing(self, expression: pd.DataFrame, max_missing: float, where: str) -> list[str]:
        """Count what is missing of the needed genes, in words; raise where it is too much."""
        genes = self.genes.index[self.genes["needed"]]
        here = genes[genes.isin(expression.columns)]
        if expression.index.isin(genes).sum() > len(here):
            raise InputError(f"{where}: genes are the rows: transpose the table, one row a sample")
        absent, gaps = genes.difference(here, sort=False), expression[here].isna().sum(axis=1)
        for missing, whose in ((len(absent), ""), (gaps.max(), f"sample {gaps.idxmax()!r}: ")):
            if missing > max_missing * len(genes):
                first = f", {absent[0]!r} first" if len(absent) else ""
                raise InputError(
                    f"{where}: {whose}{missing:,} of the model's {len(genes):,} genes are missing{first}: more than "
                    f"the limit of {max_missing:.0%}; use gene symbols as columns, or raise --max-missing"
                )
        notes = []
        if len(absent):
            named = ", ".join([*absent[:3], *(["..."] if len(absent) > 3 else [])])
            said = f"{len(absent):,} of {len(genes):,} genes are missing ({named}) and take their training means"
            notes.append(f"warning: {said}")
        if gaps.any():
            said = f"{gaps.sum():,} empty cells in {(gaps > 0).sum()} samples take the genes' training means"
            notes.append(f"warning: {said}")
        return notes

    def _by_quantiles(self, values: pd.DataFrame) -> pd.DataFrame:
        levels = (values.rank(axis=1) - 1).div((values.notna().sum(axis=1) - 1).clip(lower=1), axis=0)
        table = np.interp(levels.to_numpy(), np.linspace(0, 1, N_QUANTILES), self.quantiles)
        return pd.DataFrame(table, index=values.index, columns=values.columns).where(values.notna())

    def _by_domain(self, values: pd.DataFrame, where: str) -> pd.DataFrame:
        if len(values) < MIN_DOMAIN:
            problem = f"{len(values)} samples are too few to learn the means and SDs of their platform"
            raise InputError(f"{where}: {problem}: give {MIN_DOMAIN} or more, or match by quantiles")
        sd, known = values.std(axis=0, ddof=0), self.genes.loc[values.columns]
        return (values - values.mean(axis=0)) / sd.where(sd > 1e-12, 1.0) * known["sd"] + known["mean"]
