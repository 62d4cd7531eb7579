"""A new table of expression brought to the genes, the unit and the platform of a model's training table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from leaplib.base.errors import InputError

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

    def prepare(self, expression: pd.DataFrame, units: str, match: str = "none", max_missing: float = MAX_MISSING,
                where: str = "expression") -> tuple[pd.DataFrame, list[str]]:  # fmt: skip
        """Return the genes that the model needs, as it needs them, and what was done in words.

        Parameters
        ----------
        expression : DataFrame, samples x genes
            log2(TPM+1), or z-scores; NaN where missing.
        units : {"log", "z-score", "counts", "tpm"}
            What the table held before `leaplib.samples.units.to_log`.
        match : {"none", "domain", "quantile"}
            For another platform. "domain": each gene is brought to the training samples' mean and SD, over all
            new samples (10 at least). "quantile": each sample's values are brought to the distribution of a training
            sample by their ranks.
        max_missing : float
            Largest share of the needed genes that may be missing, in the table or in a sample. A missing value
            becomes the gene's mean over the training samples.
        where : str
            File to name in messages.

        Raises
        ------
        InputError
            For an unknown way to match, too many missing genes, too few samples, or z-scores where the model was
            trained on a log scale.
        """
        if match not in MATCHES:
            raise InputError(f"match {match!r} is unknown: use one of {', '.join(MATCHES)}")
        if not 0 <= max_missing < 1:
            raise InputError(f"max-missing {max_missing}: it must be a share, from 0 to below 1")
        notes = self._count_missing(expression, max_missing, where)
        values = expression.loc[:, expression.columns.isin(self.genes.index)].astype(float)
        values, bridged = self._bridge(values, units, match, where)
        values, matched = self._match(values, match, where)
        genes = self.genes.index[self.genes["needed"]]
        ready = values.reindex(columns=genes)
        return ready.fillna(self.genes.loc[genes, "mean"]), [*notes, *bridged, *matched]

    def _count_missing(self, expression: pd.DataFrame, max_missing: float, where: str) -> list[str]:
        """Count what is missing of the needed genes; raise where it is too much."""
        genes = self.genes.index[self.genes["needed"]]
        here = genes[genes.isin(expression.columns)]
        if expression.index.isin(genes).sum() > len(here):
            raise InputError(f"{where}: genes are the rows: transpose the table, one row a sample")
        absent = genes.difference(here, sort=False)
        self._limit(len(absent), len(genes), max_missing, f"{where}: ", absent)
        gaps = expression[here].isna().sum(axis=1)
        if len(gaps) and gaps.max():
            self._limit(int(gaps.max()), len(genes), max_missing, f"{where}: sample {gaps.idxmax()!r}: ", absent)
        notes = []
        if len(absent):
            notes.append(f"warning: {len(absent):,} of {len(genes):,} genes are missing ({', '.join(absent[:3])}"
                         f"{', ...' if len(absent) > 3 else ''}) and take their training means")  # fmt: skip
        if gaps.sum():
            notes.append(f"warning: {int(gaps.sum()):,} empty cells in {int((gaps > 0).sum())} samples take the genes' "
                         "training means")  # fmt: skip
        return notes

    @staticmethod
    def _limit(missing: int, of: int, share: float, where: str, names: pd.Index) -> None:
        if missing > share * of:
            first = f", {names[0]!r} first" if len(names) else ""
            raise InputError(f"{where}{missing:,} of the model's {of:,} genes are missing{first}: more than the "
                             f"limit of {share:.0%}; use gene symbols as columns, or raise --max-missing")  # fmt: skip

    def _bridge(self, values: pd.DataFrame, units: str, match: str, where: str) -> tuple[pd.DataFrame, list[str]]:
        """Bring the unit to the model's."""
        if self.unit == "z-score" and units != "z-score":
            spread = values.std(axis=1, ddof=0)
            if not (spread > 0).all():
                raise InputError(
                    f"{where}: sample {spread.index[~(spread > 0)][0]!r} does not vary over genes: drop it"
                )
            scaled = values.sub(values.mean(axis=1), axis=0).div(spread, axis=0)
            return scaled, [f"each sample was z-scored over its {values.shape[1]:,} known genes, as in training"]
        if self.unit != "z-score" and units == "z-score" and match == "none":
            raise InputError(f"{where}: z-scores, but the model was trained on {self.unit}: give TPM or counts, or "
                             "match the platforms with --match domain or quantile")  # fmt: skip
        return values, []

    def _match(self, values: pd.DataFrame, match: str, where: str) -> tuple[pd.DataFrame, list[str]]:
        """Bring the platform to that of training."""
        if match == "none":
            return values, []
        if match == "quantile":
            levels = (values.rank(axis=1) - 1).div((values.notna().sum(axis=1) - 1).clip(lower=1), axis=0)
            table = np.interp(levels.to_numpy(), np.linspace(0, 1, N_QUANTILES), self.quantiles)
            return pd.DataFrame(table, index=values.index, columns=values.columns).where(values.notna()), [
                "each sample was brought to the distribution of the training samples"]  # fmt: skip
        if len(values) < MIN_DOMAIN:
            raise InputError(f"{where}: {len(values)} samples are too few to learn the means and SDs of their "
                             f"platform: give {MIN_DOMAIN} or more, or match by quantiles")  # fmt: skip
        sd = values.std(axis=0, ddof=0)
        scaled = (values - values.mean(axis=0)) / sd.where(sd > 1e-12, 1.0)
        known = self.genes.loc[values.columns]
        return scaled * known["sd"] + known["mean"], [f"genes were brought to the training means and SDs over "
                                                      f"{len(values)} samples"]  # fmt: skip
