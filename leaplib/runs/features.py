"""What models see of the samples of a task's pool: codes, genes, and what candidates see beside."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from leaplib.base.code_version import code_version
from leaplib.base.store import is_done, load_frame, save_frame
from leaplib.profiles import Profile
from leaplib.representation.damae import DAMAE
from leaplib.representation.kinds import Components
from leaplib.representation.pretraining import Embedding, embed, embedding_key, folder_of, standardised
from leaplib.runs.recipes import CODE, GENES
from leaplib.tasks import Task

MORE_GENES, RANKED, CODES, BOTH = "more genes", "ranked genes", "codes", "genes and codes"
WIDTHS, COMPONENTS, DENOISED = "codes of three widths", "principal components", "denoised genes"
TISSUE = "genes and tissue"
FEATURES = (GENES, MORE_GENES, RANKED, CODES, BOTH, CODE, WIDTHS, COMPONENTS, DENOISED, TISSUE)
"""Genes as LEAP's DAMAEs see them; twice as many; ranked within each sample; all codes side by side; both; the code of
one DAMAE; codes of a half, a whole and a double width; as many principal components as a code has; genes as a linear
denoising autoencoder gives them back; genes with the tissue of the sample."""
WIDTH_FACTORS = (0.5, 2)  # of hidden layer and code; the own one stands between


@dataclass(frozen=True)
class Features:
    """Features of all samples of a task's pool, each made when it is first asked for."""

    profile: Profile
    task: Task
    device: str = "auto"

    def frame(self, name: str, number: int = 0) -> pd.DataFrame:
        """Return features (samples x features) by their name in `FEATURES`; `number` is that of the code."""
        made = {
            CODE: lambda: self.embedding.codes[number],
            GENES: lambda: self.genes,
            MORE_GENES: lambda: standardised(self.profile, self.task, 2),
            RANKED: lambda: self.ranked,
            CODES: lambda: self.codes,
            BOTH: lambda: _beside(self.genes, self.codes),
            WIDTHS: lambda: self.widths,
            COMPONENTS: lambda: self.components,
            DENOISED: lambda: self.denoised,
            TISSUE: lambda: _beside(self.genes, self.tissue),
        }
        return made[name]()

    @cached_property
    def embedding(self) -> Embedding:
        """Representations of the pool."""
        return embed(self.profile, self.task, self.device)

    @cached_property
    def genes(self) -> pd.DataFrame:
        """Standardised expression of the pool, of the DAMAEs' genes."""
        return standardised(self.profile, self.task)

    @cached_property
    def ranked(self) -> pd.DataFrame:
        """Genes ranked within each sample."""
        genes = self.genes
        return _standardised(pd.DataFrame(rankdata(genes, axis=1), genes.index, genes.columns))

    @cached_property
    def codes(self) -> pd.DataFrame:
        """Codes of all representations side by side."""
        return _side_by_side(self.embedding.codes)

    @cached_property
    def components(self) -> pd.DataFrame:
        """Principal components of the genes, as many as a code has."""
        genes = self.genes
        return pd.DataFrame(Components(self.embedding.codes[0].shape[1]).fit(genes).transform(genes), genes.index)

    @cached_property
    def denoised(self) -> pd.DataFrame:
        """Genes as a linear denoising autoencoder gives them back."""
        return linear_denoised(self.genes, DAMAE(**dict(self.profile.damae)).corruption)

    @cached_property
    def tissue(self) -> pd.DataFrame:
        """Tissue of each sample, a column each."""
        tissues = self.embedding.tissue.reindex(self.genes.index)
        return _standardised(pd.get_dummies(tissues, dtype=float))

    @cached_property
    def widths(self) -> pd.DataFrame:
        """Codes of a half, a whole and a double width side by side."""
        half, double = (self.width(factor) for factor in WIDTH_FACTORS)
        return _side_by_side([half, self.embedding.codes[0], double])

    def width(self, factor: float, force: bool = False) -> pd.DataFrame:
        """Return the codes of a DAMAE of another width, trained now or before."""
        path, configuration = self.width_file(factor)
        if force or not is_done(path, configuration):
            genes = self.genes
            codes = DAMAE(device=self.device, **configuration["damae"]).fit_transform(genes)
            save_frame(pd.DataFrame(codes, genes.index).rename(columns=str), path, configuration)
        return load_frame(path)

    def width_file(self, factor: float) -> tuple[Path, dict[str, Any]]:
        """Return where the codes of another width lie, and what they depend on."""
        settings = {name: value for name, value in DAMAE(**dict(self.profile.damae)).get_params().items()
                    if name not in ("random_state", "device")}  # fmt: skip
        for name in ("n_hidden", "n_components"):
            settings[name] = max(round(settings[name] * factor), 1)
        folder = folder_of(self.profile, self.task)
        code = code_version("leaplib.runs.features")
        configuration = {"representations": embedding_key(self.profile, self.task), "damae": settings, "code": code}
        return folder / f"codes_{settings['n_components']}.parquet", configuration


def sees_codes(features: str) -> bool:
    """Tell whether features are made of what DAMAEs leave: codes, or the table beside them."""
    return features in (CODE, CODES, BOTH, WIDTHS, COMPONENTS, TISSUE)


def linear_denoised(genes: pd.DataFrame, corruption: float) -> pd.DataFrame:
    """Return what the best linear map from corrupted to clean genes makes of the genes themselves.

    A share of the entries of each sample is replaced by those of other samples, gene by gene, as a DAMAE's input is.
    For standardised genes with covariance S and a share c the map that has the least squared error over all such
    corruptions is (1 - c) S ((1 - c)^2 S + (1 - (1 - c)^2) I)^-1: no training, one decomposition.

    Parameters
    ----------
    genes : DataFrame, samples x genes
        Of mean 0 and SD 1.
    corruption : float
        The share c, from 0 to below 1.

    References
    ----------
    Chen, Xu, Weinberger, Sha (2012), Marginalized denoising autoencoders for domain adaptation, ICML.
    """
    left, lengths, right = np.linalg.svd(genes.to_numpy(dtype=np.float64), full_matrices=False)
    variance, kept = lengths**2 / len(genes), 1 - corruption
    with np.errstate(invalid="ignore"):
        factor = kept * variance / (kept**2 * variance + 1 - kept**2)
    return pd.DataFrame(left * (lengths * np.nan_to_num(factor)) @ right, genes.index, genes.columns)


def _beside(genes: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Put standardised features beside the genes; both weigh the same, as many of either as there are."""
    scaled = others * np.sqrt(genes.shape[1] / others.shape[1])
    return pd.concat([genes, scaled.loc[genes.index].add_prefix("beside ")], axis=1)


def _side_by_side(codes: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the codes of all representations as one table, each column standardised."""
    return pd.concat([_standardised(part).add_prefix(f"{number} ") for number, part in enumerate(codes)], axis=1)


def _standardised(frame: pd.DataFrame) -> pd.DataFrame:
    sd = frame.std(ddof=0)
    return (frame - frame.mean()) / sd.where(sd > 1e-12, 1.0)
