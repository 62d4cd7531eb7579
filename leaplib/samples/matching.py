"""A new table of expression brought to the unit, the genes and the platform of a model's training table.

Units are told sample by sample, by the rules in `rules.toml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from leaplib.base.errors import InputError
from leaplib.samples.tables import RULES, refusal, shown, told

UNITS: dict[str, dict[str, str]] = RULES["units"]
MATCHES = ("none", "domain", "quantile")
FEW = 500  # genes: of fewer, totals tell nothing
LEVELS = np.linspace(0, 1, 1001)
MAX_MISSING = 0.2
MIN_AGREEMENT = 0.2  # of training samples with their mean: below, genes do not differ enough for it to tell anything
FEW_STRANGE = 0.1  # share of the samples that may differ from all training samples
BELOW, ABOVE, MIDDLE = 1.5, 2.0, 0.3  # how far log2 of a sample's total, and of the median's, may be out of the usual


def refuse_samples(bad: pd.Series, kind: str, where: str, **found: object) -> None:
    """Raise the refusal of a kind that names the first sample for which `bad` is true."""
    if bad.any():
        more = f" and {bad.sum() - 1} more" if bad.sum() > 1 else ""
        raise refusal(kind, where, sample=bad.index[bad][0], more=more, **found)


def as_log(expression: pd.DataFrame, units: str, where: str, tpm: bool = True,
           matched: bool = False) -> tuple[pd.DataFrame, str, str]:  # fmt: skip
    """Return expression as log2(TPM+1) (z-scores as they are), its units, and a sentence about them.

    Counts become log2(CPM+1), counts per million of the sample's total: without the lengths of the genes there are
    no TPM.

    Parameters
    ----------
    expression : DataFrame, samples x genes
        NaN where missing.
    units : str
        A key of `UNITS`, which every sample then has to fit, or "auto" to detect them.
    where : str
        File to name in messages.
    tpm : bool
        Whether logarithms have to be those of TPM; for a model of z-scores any logarithm serves.
    matched : bool
        Whether the table will be matched to another platform: what is declared is then not questioned.
    """
    if units not in ("auto", *UNITS):
        raise InputError(f"units {units!r} are unknown: use one of auto, {', '.join(UNITS)}")
    refuse_samples(expression.isna().all(axis=1), "no_values", where)
    added = ""
    if units in ("auto", "log"):
        expression, added = _without_floor(expression)
    measured = _measure(expression)
    if not tpm or matched:
        measured["behind"], measured["least"] = 1.0, 0.0
    each = _units_of(measured, units)
    if (each == "").any() and not (matched and units in ("log", "z-score")):
        _refuse_units(expression, measured[each == ""], units, where)
    if each.nunique() > 1 and units == "auto":
        groups = sorted(each.groupby(each).groups.items(), key=lambda item: len(item[1]))
        parts = [f"{UNITS[str(unit)]['name']} ({len(names)}: {shown(names)})" for unit, names in groups]
        raise refusal("units", where, parts=" and ".join(parts))
    found = str(each.iloc[0]) if units == "auto" else units
    if found == "z-score" and not matched and _is_by_gene(expression, measured):
        raise refusal("by_gene", where)
    levelled = found != "z-score" and not matched and len(measured) > 2 and _is_levelled(measured)
    how, unit = "detected" if units == "auto" else "declared", UNITS[found]["name"]
    said = {"genes": expression.shape[1], "unit": unit, "how": how, "added": added}
    (note,) = told("levelled" if levelled else "read", len(expression), where, **said)
    if found == "counts":
        refuse_samples(measured["total"] <= 0, "no_counts", where)
        expression = expression.div(expression.sum(axis=1), axis=0) * 1e6
    if found in ("counts", "tpm"):
        expression = pd.DataFrame(np.log2(expression + 1))
    return expression, found, note


def _without_floor(expression: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return log2(TPM + 0.001), which its floor tells, as log2(TPM+1), and what was added in words."""
    floor = np.nanmin(expression.to_numpy())
    power = np.round(floor * np.log10(2))
    told = -4 <= power <= -1 and abs(floor * np.log10(2) - power) < 1e-3
    if not told or (expression <= floor + 1e-3).mean(axis=None) <= 1e-3:
        return expression, ""
    tpm = np.maximum(np.exp2(expression) - 10.0**power, 0)
    return np.log2(tpm + 1), f", from log2(TPM + {10.0**power:g})"


def _measure(values: pd.DataFrame) -> pd.DataFrame:
    """Return what tells the unit of each sample (NaN where missing): the columns that `rules.toml` uses."""
    x = values.to_numpy()
    n, total = (~np.isnan(x)).sum(axis=1), np.nansum(x, axis=1)
    found = {"low": np.nanmin(x, axis=1), "high": np.nanmax(x, axis=1), "mean": total / n, "sd": np.nanstd(x, axis=1)}
    found |= {"total": total, "behind": np.nansum(np.exp2(np.minimum(x, 80)) - 1, axis=1), "few": n < FEW}
    found["below"] = (x < -1).sum(axis=1) / n
    found["whole"] = (np.isnan(x) | (x % 1 == 0)).all(axis=1)
    # TPM of a whole transcriptome add up to about a million, and genes have fifty on average.
    found["least"] = np.select([n >= 10_000, n >= FEW], [250_000.0, 3.0 * n], 0.0)
    return pd.DataFrame(found, values.index)


def holds(rule: str, measured: pd.DataFrame) -> pd.Series:
    """Tell for which samples a rule holds."""
    return pd.Series(np.asarray(measured.eval(rule, engine="python")), measured.index, dtype=bool)


def _units_of(measured: pd.DataFrame, units: str) -> pd.Series:
    """Return the unit of each sample, empty where it fits none."""
    found = pd.Series("", measured.index)
    for unit in UNITS if units == "auto" else [units]:
        found[holds(UNITS[unit]["told" if units == "auto" else "fits"], measured)] = unit
    return found


def _refuse_units(expression: pd.DataFrame, bad: pd.DataFrame, units: str, where: str) -> None:
    """Raise an InputError about samples that fit no unit, or not the declared one: what they hold and what to do."""
    first, of, sample = bad.head(1), bad.iloc[0], bad.index[0]
    problem = "neither counts, TPM, log2(TPM+1) nor z-scores"
    hint = next(hint for rule, hint in RULES["hints"].items() if holds(rule, first).iloc[0])
    if units != "auto":
        problem = f"no {UNITS[units]['name']}, which have {UNITS[units]['has']}"
        like = [unit for unit in UNITS if _units_of(first, unit).iloc[0]]
        hint = f"declare {' or '.join(like)}" if like else hint
    extent = f"values from {of['low']:.4g} to {of['high']:.4g} ({expression.loc[sample].idxmax()!r}), total "
    extent += f"{of['total']:.3g}" + f", 2^x - 1 add up to {of['behind']:.3g}" * bool(of["high"] <= 40)
    refuse_samples(bad["low"].notna(), "unit", where, problem=problem, extent=extent, hint=hint)


def _is_by_gene(z: pd.DataFrame, measured: pd.DataFrame) -> bool:
    """Tell z-scores of each gene over the samples from those of each sample: the means of genes are alike."""
    exact = (measured["mean"].abs() < 0.02) & ((measured["sd"] - 1).abs() < 0.02)
    return len(z) >= 10 and not exact.all() and z.mean(axis=0).std() < min(0.4, 2 / np.sqrt(len(z)))


def _is_levelled(measured: pd.DataFrame) -> bool:
    """Tell whether all samples have one distribution, as after a quantile normalisation."""
    alike = measured[["high", "mean", "sd"]]
    return not measured["few"].any() and bool((np.ptp(alike, axis=0) < 1e-3 * alike.mean().abs()).all())


@dataclass(frozen=True)
class Reference:
    """What a model's training table looked like.

    Parameters
    ----------
    genes : DataFrame, one row a gene
        mean, sd, total (mean of 2^x - 1; all over the training samples), needed (whether the model uses the gene).
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
        sd, total = expression.std(axis=0, ddof=0), (np.exp2(expression) - 1).mean(axis=0)
        genes = pd.DataFrame({"mean": expression.mean(axis=0), "sd": sd, "needed": expression.columns.isin(needed)})
        genes["total"] = total
        quantiles = np.quantile(expression.to_numpy(dtype=float), LEVELS, axis=1).mean(axis=1)
        found = cls(genes, quantiles, unit).compare(expression)
        usual = {str(name): found[name].quantile([0.01, 0.99]).tolist() for name in found}
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
        found, (low, _) = self.compare(values), self.usual["agreement"]
        odd = found["agreement"] < low / 2 if low > MIN_AGREEMENT else found["agreement"].isna()
        odd &= odd.mean() > FEW_STRANGE  # single ones are no matter of scale: applicability warns of them
        refuse_samples(odd, "unlike", where)
        if match == "none" and self.unit != "z-score" and len(values.columns) >= FEW:
            total, (low, high) = found["total"], self.usual["total"]
            apart = len(total) >= 5 and not low - MIDDLE <= total.median() <= high + MIDDLE
            odd = ~total.between(*((low - MIDDLE, high + MIDDLE) if apart else (low - BELOW, high + ABOVE)))
            refuse_samples(odd, "scale", where, share=100 * 2 ** total[odd].median())

    def prepare(self, expression: pd.DataFrame, units: str, match: str = "none", max_missing: float = MAX_MISSING,
                where: str = "expression") -> tuple[pd.DataFrame, list[str]]:  # fmt: skip
        """Return the genes that the model needs, as it needs them, and what was done in words.

        Parameters
        ----------
        expression : DataFrame, samples x genes
            log2(TPM+1), or z-scores; NaN where missing.
        units : str
            What the table held before `as_log`.
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
            refuse_samples(~(spread > 0), "constant", where)
            values = values.sub(values.mean(axis=1), axis=0).div(spread, axis=0)
            notes += told("z_scored", values.shape[1])
        elif self.unit != "z-score" and units == "z-score" and match == "none":
            raise refusal("z_score", where, unit=self.unit)
        if self.usual and match != "domain":
            self._refuse_strangers(values, match, where)
        trained = self.usual.get("units")
        if trained and match == "none" and self.unit != "z-score" and (trained == "counts") != (units == "counts"):
            notes += told("trained_on", len(values), trained=trained, units=units)
        if match == "quantile":
            values = self._by_quantiles(values)
        elif match == "domain":
            values = self._by_domain(values, where)
        notes += told(match, len(values)) if match != "none" else []
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
        share = sure.sum() / self.genes["needed"].sum()
        if len(values) <= 2:  # "in every sample" says little: a gene may be 0 in one or two
            return zero[sure & (share >= 0.07)]
        return zero[chance < 0.3] if share >= 0.01 else zero[sure]

    def _count_missing(self, values: pd.DataFrame, zero: pd.Index, max_missing: float, where: str) -> list[str]:
        """Count what is missing of the needed genes, in words; raise where it is too much of a sample."""
        genes = self.genes.index[self.genes["needed"]]
        absent, zero = genes.difference(values.columns, sort=False), genes.intersection(zero, sort=False)
        lacking = values.reindex(columns=genes).isna()
        missing, gaps = lacking.sum(axis=1), lacking.drop(columns=[*absent, *zero]).sum(axis=1)
        if missing.max() > max_missing * len(genes):
            sample: str = missing.index[int(missing.to_numpy().argmax())]
            whose = f"sample {sample!r}: " if gaps[sample] else ""
            filled = f", {len(zero):,} of them 0 in every sample" if len(zero) else ""
            found = {"n": missing.max(), "of": len(genes), "first": genes[lacking.loc[sample].to_numpy()][0]}
            raise refusal("genes", where, whose=whose, zero=filled, limit=max_missing, **found)
        return [
            *told("missing", len(absent), of=len(genes), names=shown(absent)),
            *told("zero", len(zero), of=len(genes), names=shown(zero)),
            *told("empty_cells", int(gaps.sum()), samples=(gaps > 0).sum()),
        ]

    def _by_quantiles(self, values: pd.DataFrame) -> pd.DataFrame:
        levels = (values.rank(axis=1) - 1).div((values.notna().sum(axis=1) - 1).clip(lower=1), axis=0)
        table = np.interp(levels.to_numpy(), LEVELS, self.quantiles)
        return pd.DataFrame(table, index=values.index, columns=values.columns).where(values.notna())

    def _by_domain(self, values: pd.DataFrame, where: str) -> pd.DataFrame:
        if len(values) < 10:
            raise refusal("few_to_match", where, n=len(values))
        sd, known = values.std(axis=0, ddof=0), self.genes.loc[values.columns]
        return (values - values.mean(axis=0)) / sd.where(sd > 1e-12, 1.0) * known["sd"] + known["mean"]
