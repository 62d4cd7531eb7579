"""A new table of expression brought to the genes, the unit and the platform of a model's training table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from leaplib.base.errors import InputError
from leaplib.samples.tables import FEW, refuse_samples

MATCHES = ("none", "domain", "quantile")
MIN_DOMAIN = 10
N_QUANTILES = 1001
MAX_MISSING = 0.2
MIN_AGREEMENT = 0.2  # of training samples with their mean: below, genes do not differ enough for it to tell anything
FEW_STRANGE = 0.1  # share of the samples that may differ from all training samples
BELOW, ABOVE, MIDDLE = 1.5, 2.0, 0.3  # how far log2 of a sample's total, and of the median's, may be out of the usual


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
    usual : dict
        What new samples are held against: units (of the table, as declared or detected) and, over the training
        samples, the 1st and the 99th percentile of what `compare` returns.
    """

    genes: pd.DataFrame
    quantiles: np.ndarray
    unit: str
    usual: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def fit(cls, expression: pd.DataFrame, unit: str, needed: pd.Index, units: str = "") -> "Reference":
        """Learn from the training samples (samples x genes); `needed` are the genes that the model uses."""
        sd = expression.std(axis=0, ddof=0)
        genes = pd.DataFrame({"mean": expression.mean(axis=0), "sd": sd, "needed": expression.columns.isin(needed)})
        genes["total"] = (np.exp2(expression) - 1).mean(axis=0)
        levels = np.linspace(0, 1, N_QUANTILES)
        quantiles = np.quantile(expression.to_numpy(dtype=float), levels, axis=1).mean(axis=1)
        found = cls(genes, quantiles, unit).compare(expression)
        usual = {str(name): [float(end) for end in found[name].quantile([0.01, 0.99])] for name in found}
        return cls(genes, quantiles, unit, {"units": units, **usual})

    def compare(self, expression: pd.DataFrame) -> pd.DataFrame:
        """Return how samples differ from the mean training sample over their genes.

        Returns
        -------
        DataFrame, one row a sample
            agreement: Pearson's correlation with the training means; total: log2 of the ratio of the TPM behind both.
        """
        known, x = self.genes.loc[expression.columns], expression.to_numpy(dtype=float)
        away = known["mean"].to_numpy() - known["mean"].mean()
        own = np.where(np.isnan(x), known["mean"], x)
        own -= own.mean(axis=1, keepdims=True)
        total = np.where(np.isnan(x), known["total"], np.exp2(np.minimum(x, 100)) - 1).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            agreement = own @ away / np.sqrt((own**2).sum(axis=1) * (away**2).sum())
            found = {"agreement": agreement, "total": np.log2(total / known["total"].sum())}
        return pd.DataFrame(found, expression.index)

    def _refuse_strangers(self, values: pd.DataFrame, match: str, where: str) -> None:
        """Refuse samples that are on another scale than the training samples, singly or as a whole."""
        found = self.compare(values)
        low, _ = self.usual["agreement"]
        odd = found["agreement"] < low / 2 if low > MIN_AGREEMENT else found["agreement"].isna()
        odd &= odd.mean() > FEW_STRANGE  # single ones are no matter of scale: applicability warns of them
        refuse_samples(
            odd, where, "does not resemble the training samples gene by gene (z-scores of genes over samples?): give "
            "values before such scaling, or predict 10 samples or more with --match domain")  # fmt: skip
        if match == "none" and self.unit != "z-score" and len(values.columns) >= FEW:
            low, high = self.usual["total"]
            odd = ~found["total"].between(low - BELOW, high + ABOVE)
            middle = found["total"].median()
            if len(found) >= 5 and not low - MIDDLE <= middle <= high + MIDDLE:
                odd = ~found["total"].between(low - MIDDLE, high + MIDDLE)
            share = f"{100 * 2 ** found['total'][odd].median():.3g}%" if odd.any() else ""
            refuse_samples(
                odd, where, f"is on another scale: what adds up to a million in log2(TPM+1) is {share} of the training "
                "samples' (as by ln, log10, VST or counts): give TPM, or predict with --match quantile")  # fmt: skip

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
        values = expression.loc[:, expression.columns.isin(self.genes.index)].astype(float)
        zero = self._zeros(values, units)
        values[zero] = np.nan
        notes = self._count_missing(values, zero, max_missing, where)
        if self.unit == "z-score" and units != "z-score":
            spread = values.std(axis=1, ddof=0)
            refuse_samples(~(spread > 0), where, "does not vary over genes: drop it")
            values = values.sub(values.mean(axis=1), axis=0).div(spread, axis=0)
            notes.append(f"each sample was z-scored over its {values.shape[1]:,} known genes, as in training")
        elif self.unit != "z-score" and units == "z-score" and match == "none":
            remedy = "give TPM or counts, or match the platforms with --match domain or quantile"
            raise InputError(f"{where}: z-scores, but the model was trained on {self.unit}: {remedy}")
        if self.usual and match != "domain":
            self._refuse_strangers(values, match, where)
        trained = self.usual.get("units")
        if trained and match == "none" and self.unit != "z-score" and (trained == "counts") != (units == "counts"):
            said = (
                f"the model was trained on {trained}, these are {units}: without lengths of genes they differ by gene"
            )
            notes.append(f"warning: {said}; --match domain evens that out for 10 samples or more")
        if match == "quantile":
            values = self._by_quantiles(values)
            notes.append("each sample was brought to the distribution of the training samples")
        elif match == "domain":
            values = self._by_domain(values, where)
            notes.append(f"genes were brought to the training means and SDs over {len(values)} samples")
        needed = self.genes[self.genes["needed"]]
        return values.reindex(columns=needed.index).fillna(needed["mean"]), notes

    def _zeros(self, values: pd.DataFrame, units: str) -> pd.Index:
        """Return the genes that are 0 in every sample, as gaps filled with 0 are, and hardly ever in training."""
        zero = values.columns[(values == 0).all(axis=0)]
        known, lowest = self.genes.loc[zero], 0.0
        if self.unit == "z-score":
            lowest = -1e9 if units == "z-score" else -float((values.mean(axis=1) / values.std(axis=1)).mean())
        chance = ndtr((lowest + 0.25 - known["mean"]) / known["sd"].clip(lower=0.5))
        sure = known["needed"] & (chance < 0.02)
        if sure.sum() >= 0.01 * self.genes["needed"].sum():
            return zero[chance < 0.3]
        return zero[sure] if len(values) > 2 else zero[:0]

    def _count_missing(self, values: pd.DataFrame, zero: pd.Index, max_missing: float, where: str) -> list[str]:
        """Count what is missing of the needed genes, in words; raise where it is too much of a sample."""
        genes = self.genes.index[self.genes["needed"]]
        absent, zero = genes.difference(values.columns, sort=False), genes.intersection(zero, sort=False)
        lacking = values.reindex(columns=genes).isna()
        missing, gaps = lacking.sum(axis=1), lacking.drop(columns=[*absent, *zero]).sum(axis=1)
        if missing.max() > max_missing * len(genes):
            at = int(missing.to_numpy().argmax())
            whose = f"sample {missing.index[at]!r}: " if gaps.iloc[at] else ""
            first = genes[lacking.to_numpy()[at]][0]
            filled = f", {len(zero):,} of them 0 in every sample" if len(zero) else ""
            raise InputError(
                f"{where}: {whose}{missing.max():,} of the model's {len(genes):,} genes are missing, {first!r} first"
                f"{filled}: above the limit of {max_missing:.0%}; use gene symbols as columns, or raise --max-missing"
            )
        notes = []
        for which, what in ((absent, "missing"), (zero, "0 in every sample, as filled gaps are,")):
            if len(which):
                named = ", ".join([*which[:3], *(["..."] if len(which) > 3 else [])])
                said = f"{len(which):,} of {len(genes):,} genes are {what} ({named}) and take their training means"
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
