"""A simulated cohort with known truth, for tests and for tasks whose real files are absent.

Tissue-structured latent programmes drive expression, gene dependencies and drug responses. Every
selection rule of the preparation has something to do: samples without expression or without a tissue,
two outliers, perturbations without variation, repeats within a study, missing pairs, an earlier release with
fewer lines, xenografts whose expression is shifted against that of cell lines.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from leaplib.sources.screens import DrugScreen, GeneScreen
from leaplib.sources.xenografts import Xenografts
from leaplib.tasks import XENOGRAFT_DRUGS

TISSUES = ("Lung", "Lymphoid", "Bowel", "Skin", "Breast", "Brain", "Ovary", "Pancreas", "Stomach", "Kidney", "Bone")
# Chosen once, so that models score about as the paper's where the simulation stands in (tests hold it): few programmes,
# since neighbours are found in few dimensions; what leaves no trace in expression has twice the SD, in logits, of what
# does; a tumour's volume hardly follows either.
N_PROGRAMMES, HIDDEN, TUMOUR = 8, 2.5, 6.0
# Share of lines and of drugs in each study.
STUDIES = {"GDSC v2": (0.75, 0.9), "GDSC v1": (0.85, 0.9), "CCLE": (0.5, 0.3), "CTRP": (0.6, 0.7), "PRISM": (0.5, 0.6)}
N_XENOGRAFTS = 120


@dataclass(frozen=True)
class Simulation:
    """Simulated screens and the truth behind them.

    Parameters
    ----------
    drugs : DrugScreen
    dependencies : GeneScreen
        Probabilities of dependency, as of 23Q4.
    earlier : GeneScreen
        The same of fewer lines, as of 22Q4.
    effects : GeneScreen
        Gene effects of still fewer lines, as of 18Q3, with the expression of `dependencies`.
    xenografts : Xenografts
        Genes shifted and stretched against the cell lines; responses through the same programmes.
    true_aac, true_dependency : DataFrame, lines x perturbations
        The part of the responses that expression tells, for all lines: its correlation with a measured response
        is the best that any model can reach.
    """

    drugs: DrugScreen
    dependencies: GeneScreen
    earlier: GeneScreen
    effects: GeneScreen
    xenografts: Xenografts
    true_aac: pd.DataFrame
    true_dependency: pd.DataFrame


def simulate(n_lines: int = 600, n_genes: int = 2000, n_dependencies: int = 90, n_drugs: int = 80,
             seed: int = 0, hidden: float = HIDDEN) -> Simulation:  # fmt: skip
    """Simulate screens of `n_lines` cell lines; the same seed gives the same cohort.

    `hidden` is the SD, in logits, of what drives responses but leaves no trace in expression.
    """
    rng = np.random.default_rng(seed)
    lines = pd.Index([f"SIM-{i:04d}" for i in range(n_lines)], name="line")
    samples, latent = _latent(rng, lines)
    signal = _expression_signal(rng, n_genes)
    rna = _rna_seq(rng, latent, signal)
    true_dependency, gene_weights = _dependencies(rng, latent, n_dependencies)
    potency, weights = _drug_effects(rng, n_drugs)
    true_aac = expit(latent @ weights + potency)
    xenografts = _xenografts(rng, signal, weights[list(XENOGRAFT_DRUGS)])
    aac, dependency = (_hidden(rng, truth, hidden) for truth in (true_aac, true_dependency))
    drugs = _drug_screen(rng, rna, samples, aac)
    dependencies = _gene_screen(rng, rna, samples, dependency, _gene_sets(gene_weights, seed))
    return Simulation(
        drugs=drugs,
        dependencies=dependencies,
        earlier=_earlier(rng, dependencies),
        effects=_effects(rng, dependencies, dependency),
        xenografts=xenografts,
        true_aac=true_aac,
        true_dependency=true_dependency,
    )


def _latent(rng: np.random.Generator, lines: pd.Index) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tissue and latent programmes of each line; tissues differ in size, as they do in reality."""
    share = 1.0 / np.arange(2, 2 + len(TISSUES)) ** 0.15
    code = rng.choice(len(TISSUES), size=len(lines), p=share / share.sum())
    centres = rng.normal(scale=0.8, size=(len(TISSUES), N_PROGRAMMES))
    latent = centres[code] + rng.normal(scale=0.8, size=(len(lines), N_PROGRAMMES))
    tissue = pd.Series(np.array(TISSUES)[code], index=lines, dtype=object)
    tissue.iloc[rng.choice(len(lines), max(1, len(lines) // 100), replace=False)] = None
    samples = pd.DataFrame({"tissue": tissue, "cancer_type": tissue}, index=lines)
    return samples, pd.DataFrame(latent, index=lines)


def _expression_signal(rng: np.random.Generator, n_genes: int) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Draw base level and sparse programme loadings of each gene."""
    loadings = rng.normal(size=(N_PROGRAMMES, n_genes)) * (rng.random((N_PROGRAMMES, n_genes)) < 0.15)
    return rng.uniform(1, 6, n_genes), loadings, pd.Index([f"GENE{i}" for i in range(n_genes)], name="gene")


def _rna_seq(rng: np.random.Generator, latent: pd.DataFrame, signal: tuple) -> pd.DataFrame:
    """log2(TPM + 1) of each line; two lines are outliers."""
    base, loadings, genes = signal
    values = base + latent.to_numpy() @ loadings + rng.normal(scale=0.8, size=(len(latent), len(genes)))
    # The outliers share no direction with each other or with a programme, as failed libraries would; their
    # size grows with the cohort, or its programmes would hide them in the leading components.
    values[-2:] += rng.normal(scale=1.2 * np.sqrt(len(latent)), size=(2, len(genes)))
    return pd.DataFrame(np.clip(values, 0, None), index=latent.index, columns=genes)


def _dependencies(rng: np.random.Generator, latent: pd.DataFrame, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Probability that a line depends on a gene, and the weights behind it.

    Every third gene is essential in all or in none.
    """
    weights = rng.normal(size=(N_PROGRAMMES, n)) * (rng.random((N_PROGRAMMES, n)) < 0.3)
    weights /= np.maximum(np.linalg.norm(weights, axis=0), 1e-9)
    score = latent.to_numpy() @ weights
    flat = np.arange(n) % 3 == 2
    score[:, flat] = 0.1 * score[:, flat] + np.where(np.arange(flat.sum()) % 2, 5, -5)
    genes = [f"KO{i}" for i in range(n)]
    return pd.DataFrame(expit(score), index=latent.index, columns=genes), pd.DataFrame(weights, columns=genes)


def _gene_sets(weights: pd.DataFrame, seed: int) -> dict[str, list[str]]:
    """Return gene sets as experiments would find them: those up or down with a programme, with errors.

    A fifth of the members is missed, a twentieth of the other genes is taken for one; as many sets mean nothing.
    """
    rng = np.random.default_rng([seed, 1])
    members = np.concatenate([weights.to_numpy() > 0, weights.to_numpy() < 0])
    found = np.where(members, rng.random(members.shape) < 0.8, rng.random(members.shape) < 0.05)
    chance = rng.random(members.shape) < found.mean()
    sets = {f"SET{i}": weights.columns[row].tolist() for i, row in enumerate(np.concatenate([found, chance]))}
    return {name: genes for name, genes in sets.items() if genes}


def _drug_effects(rng: np.random.Generator, n: int) -> tuple[pd.Series, pd.DataFrame]:
    """Draw the potency of each drug and its weights on the programmes; drugs differ in potency, as in reality.

    The first drugs bear the names of those that xenografts were treated with, so that the two find each other.
    """
    drugs = [*XENOGRAFT_DRUGS, *(f"drug-{i}" for i in range(len(XENOGRAFT_DRUGS), n))]
    weights = rng.normal(size=(N_PROGRAMMES, n)) * (rng.random((N_PROGRAMMES, n)) < 0.3)
    weights *= 1.2 / np.maximum(np.linalg.norm(weights, axis=0), 1e-9)
    return pd.Series(rng.normal(-1.5, 0.8, n), index=drugs), pd.DataFrame(weights, columns=drugs)


def _drug_screen(rng: np.random.Generator, rna: pd.DataFrame, samples: pd.DataFrame,
                 truth: pd.DataFrame) -> DrugScreen:  # fmt: skip
    """Five studies with repeats and missing pairs; expression as a microarray z-scored over genes."""
    gain, offset = rng.uniform(0.6, 1.2, rna.shape[1]), rng.normal(scale=1.0, size=rna.shape[1])
    array = rna * gain + offset + rng.normal(scale=0.3, size=rna.shape)
    array = array.sub(array.mean(axis=1), axis=0).div(array.std(axis=1, ddof=0), axis=0)
    absent = rng.choice(len(rna) - 2, len(rna) // 20, replace=False)  # never the outliers
    responses = pd.concat([_study(rng, name, truth, *share) for name, share in STUDIES.items()], ignore_index=True)
    smiles = pd.Series([_smiles(i) for i in range(truth.shape[1])], index=truth.columns)
    smiles.iloc[-1:] = None
    return DrugScreen(
        expression=array.drop(index=array.index[absent]).astype(np.float32),
        responses=responses,
        samples=samples,
        smiles=smiles.dropna(),
        lost=pd.DataFrame({"study": [], "what": [], "raw": [], "reason": []}, dtype=object),
        unit="z-score",
        platform="simulated microarray, each line z-scored over its genes",
        data="simulated",
    )


def _study(rng: np.random.Generator, name: str, truth: pd.DataFrame, lines: float, drugs: float) -> pd.DataFrame:
    """One study's records: noise, a drug-specific shift, 10% missing pairs, 5% measured twice."""
    rows = truth.index[rng.random(len(truth)) < lines]
    columns = truth.columns[rng.random(truth.shape[1]) < drugs]
    table = truth.loc[rows, columns] + rng.normal(scale=0.05, size=len(columns))
    record = table.rename_axis("line").melt(ignore_index=False, var_name="drug", value_name="aac").reset_index()
    record = record[rng.random(len(record)) > 0.1]
    record = pd.concat([record, record.sample(frac=0.05, random_state=int(rng.integers(2**31)))], ignore_index=True)
    record["aac"] = np.clip(record["aac"] + rng.normal(scale=0.05, size=len(record)), 0, 1)
    return record.assign(study=name)[["line", "drug", "study", "aac"]]


def _hidden(rng: np.random.Generator, truth: pd.DataFrame, sd: float) -> pd.DataFrame:
    """Add, on the logit scale, what expression cannot tell; all studies see the same."""
    values = expit(logit(truth.to_numpy()) + rng.normal(scale=sd, size=truth.shape))
    return pd.DataFrame(values, index=truth.index, columns=truth.columns)


def _smiles(number: int) -> str:
    """Return a valid molecule, another for each number."""
    ring = ("c1ccccc1", "c1ccncc1", "C1CCNCC1", "c1ccsc1")[number % 4]
    return "C" * (1 + number // 4 % 8) + "(=O)N" * (number // 32 % 2) + "O" * (number // 64 % 2) + ring


def _gene_screen(rng: np.random.Generator, rna: pd.DataFrame, samples: pd.DataFrame, truth: pd.DataFrame,
                 gene_sets: dict[str, list[str]]) -> GeneScreen:  # fmt: skip
    """CRISPR-like dependencies with noise; some lines without RNA-seq."""
    absent = rng.choice(len(rna) - 2, len(rna) // 20, replace=False)
    observed = (truth + rng.normal(scale=0.05, size=truth.shape)).clip(0, 1)
    return GeneScreen(
        expression=rna.drop(index=rna.index[absent]).astype(np.float32),
        dependency=observed,
        samples=samples,
        gene_sets=gene_sets,
        unit="log2(TPM+1)",
        platform="simulated RNA-seq",
        data="simulated",
    )


def _earlier(rng: np.random.Generator, screen: GeneScreen) -> GeneScreen:
    """Return an earlier release: five of six lines, and scores that were since corrected a little."""
    lines = screen.samples.index[rng.random(len(screen.samples)) < 5 / 6]
    table = screen.dependency.loc[screen.dependency.index.isin(lines)]
    table = (table + rng.normal(scale=0.03, size=table.shape)).clip(0, 1)
    expression = screen.expression.loc[screen.expression.index.isin(lines)]
    return replace(screen, expression=expression, dependency=table, samples=screen.samples.loc[lines])


def _effects(rng: np.random.Generator, screen: GeneScreen, truth: pd.DataFrame) -> GeneScreen:
    """Return gene effects, 0 without effect and negative where a line needs the gene, of three in five lines."""
    table = truth.loc[rng.random(len(truth)) < 0.6]
    logits = logit(table.clip(1e-6, 1 - 1e-6)) + rng.normal(scale=0.3, size=table.shape)
    return replace(screen, dependency=-0.25 * (logits + 2))


def _xenografts(rng: np.random.Generator, signal: tuple, weights: pd.DataFrame) -> Xenografts:
    """Return xenografts with a domain shift, and minus the best volume change (%) for a few drugs.

    The drugs act through the same programmes as in cell lines; each was given to some of the xenografts.
    """
    base, loadings, genes = signal
    names = pd.Index([f"PDX-{i:03d}" for i in range(N_XENOGRAFTS)], name="pdx")
    latent = rng.normal(size=(len(names), N_PROGRAMMES))
    shift = rng.normal(scale=1.0, size=len(genes))
    values = 0.8 * (base + latent @ loadings) + shift + rng.normal(scale=0.8, size=(len(names), len(genes)))
    expression = pd.DataFrame(np.clip(values, 0, None), index=names, columns=genes).astype(np.float32)
    change = TUMOUR * latent @ weights.to_numpy() + rng.normal(scale=45, size=(len(names), weights.shape[1]))
    given = rng.random(change.shape) < rng.uniform(0.3, 0.7, weights.shape[1])
    response = pd.DataFrame(np.where(given, np.minimum(change, 100), np.nan), index=names, columns=weights.columns)
    samples = pd.DataFrame({"tumor_type": "simulated", "tissue": rng.choice(TISSUES[:5], len(names)),
                            "expression": True, "response": response.notna().any(axis=1)}, index=names)  # fmt: skip
    return Xenografts(expression, response, samples, data="simulated")
