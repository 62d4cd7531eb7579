"""What models see of samples: codes, genes and others of a task's pool; for ablations, representations trained apart.

The second part says what scaler and autoencoder see there: sources of expression, joined; the guard of test samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.cohorts.expression import ExpressionScaler, harmonise, join_domains, variable_genes
from leaplib.cohorts.prepare import at_hand, data_kind, pool_key, pool_of, screen_key, screen_of, xenograft_screen
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile
from leaplib.representation import pretraining
from leaplib.representation.damae import DAMAE
from leaplib.representation.pretraining import (
    Embedding,
    embed,
    embedding_key,
    folder_of,
    standardised,
    standardised_key,
)
from leaplib.runs.recipes import ALL, CODE, CODES, OWN, SCOPES, SECOND, THIRD, TRAINING, Recipe
from leaplib.tasks import POCKET, TASKS, Task

MADE_BY = "leaplib.runs.features"
"""Whose code the representations and features made here depend on."""


def settings_of(profile: Profile) -> dict[str, Any]:
    """Return all that a profile's DAMAEs are told but for seed and device."""
    settings = DAMAE(**dict(profile.damae)).get_params()
    return {name: value for name, value in settings.items() if name not in ("random_state", "device")}


class Features:
    """Features of all samples of a task's pool, each made when it is first asked for."""

    def __init__(self, profile: Profile, task: Task, device: str = "auto"):
        self.profile, self.task, self.device = profile, task, device

    def frame(self, name: str, number: int = 0) -> pd.DataFrame:
        """Return features (samples x features): genes, the code of a number, or all codes side by side."""
        if name == CODE:
            return self.embedding.codes[number]
        return self.codes_side_by_side if name == CODES else self.genes

    @cached_property
    def codes_side_by_side(self) -> pd.DataFrame:
        """Codes of all representations of the pool as one table, each column standardised."""
        parts = [_standardised(part).add_prefix(f"{number} ") for number, part in enumerate(self.embedding.codes)]
        return pd.concat(parts, axis=1)

    @cached_property
    def embedding(self) -> Embedding:
        """Representations of the pool."""
        return embed(self.profile, self.task, self.device)

    @cached_property
    def pool_keys(self) -> tuple[str, str]:
        """Keys of the pool's representations, trained or not, and of its standardised expression."""
        return embedding_key(self.profile, self.task), standardised_key(self.profile, self.task)

    @cached_property
    def folder(self) -> Path:
        """Where the representations of the pool lie."""
        return folder_of(self.profile, self.task)

    @cached_property
    def genes(self) -> pd.DataFrame:
        """Standardised expression of the pool, of the DAMAEs' genes."""
        return standardised(self.profile, self.task)


def sees_codes(features: str) -> bool:
    """Tell whether features are made of what DAMAEs leave."""
    return features in (CODE, CODES)


def _standardised(frame: pd.DataFrame) -> pd.DataFrame:
    sd = frame.std(ddof=0)
    return (frame - frame.mean()) / sd.where(sd > 1e-12, 1.0)


# ---- representations of their own: sources, what scaler and autoencoder see of them

DEPMAP, GDSC, PDX = "DepMap", "GDSC", "PDX Encyclopedia"
NAMES = {"dependencies": {OWN: DEPMAP, SECOND: GDSC, THIRD: PDX}, "drugs": {OWN: GDSC, SECOND: DEPMAP, THIRD: PDX}}
NAMES |= {"dependencies-22q4": NAMES["dependencies"], "pocket": NAMES["drugs"]}
TASK_OF = {DEPMAP: TASKS["1a"], GDSC: TASKS["2a"]}  # whose pool is the source's expression


@dataclass(frozen=True)
class Source:
    """A source of expression; what identifies it is known before its files are read.

    Parameters
    ----------
    role : {"own", "second", "third"}
    name : str
    key : dict
        What identifies the content.
    task : Task or None
        Whose pool is the source's expression; None: the xenografts' is.
    expression : DataFrame, samples x genes
        In `unit`; empty until it is read.
    unit : str
    line : Series
        Of each sample, what identifies its line in all sources: its DepMap id where it is known, else its name.
    """

    role: str
    name: str
    key: dict
    task: Task | None
    expression: pd.DataFrame = field(default_factory=pd.DataFrame)
    unit: str = ""
    line: pd.Series = field(default_factory=pd.Series)

    def prefixed(self) -> pd.DataFrame:
        """Return the expression with sample names that no other source has; those of the own source stay."""
        prefix = "" if self.role == OWN else f"{self.name}: "
        return self.expression.rename(index=lambda name: f"{prefix}{name}")


def names_of(task: Task) -> dict[str, str]:
    """Return the names of a task's sources by role.

    Raises
    ------
    InputError
        For tasks on xenografts, whose pool holds two sources from the start.
    """
    if task.pool not in NAMES:
        raise InputError(f"task {task.id}: there are no ablations for its pool {task.pool!r}: use tasks 1a to 4b")
    return NAMES[task.pool]


def origins_of(profile: Profile, task: Task) -> list[Source]:
    """Return a task's sources that are there, not read yet, its own first; real data are joined with real ones only.

    The pocket of gene effects has no other source: its expression is GDSC's itself.
    """
    on, kind, task = data_kind(profile, task.screen), _kind(profile, task), at_hand(profile, task)
    found = []
    for role, name in names_of(task).items():
        whose = task if role == OWN else TASK_OF.get(name)
        if role == OWN or (on != POCKET and data_kind(kind, whose.screen if whose else "xenografts") == on):
            key = pool_key(kind, whose) if whose else screen_key(kind, "xenografts")
            found.append(Source(role, name, key, whose))
    return found


def sources_of(profile: Profile, task: Task) -> list[Source]:
    """Return the sources of `origins_of` with their expression."""
    kind, found = _kind(profile, task), []
    for source in origins_of(profile, task):
        if source.task is None:
            tumours = xenograft_screen(kind)[1].expression
            found.append(replace(source, expression=tumours, unit="log2", line=tumours.index.to_series()))
        else:
            expression, screen = pool_of(kind, source.task).expression, screen_of(kind, source.task.screen)
            lines = lines_of(expression.index, screen.samples)
            found.append(replace(source, expression=expression, unit=screen.unit, line=lines))
    return found


def _kind(profile: Profile, task: Task) -> Profile:
    """Return the profile, with all data simulated where the task's are."""
    simulated = data_kind(profile, task.screen) == "simulated"
    return replace(profile, simulated=True) if simulated else profile


def lines_of(names: pd.Index, samples: pd.DataFrame) -> pd.Series:
    """Return what identifies lines in all sources, which name them differently: the DepMap id, else the name."""
    own = pd.Series(names, index=names)
    return samples["depmap_id"].reindex(names).fillna(own) if "depmap_id" in samples else own


def check_unseen(samples: pd.Index, split: Split) -> None:
    """Raise InputError when test samples are among those that something inductive would be learned from."""
    leaked = samples.intersection(split.test)
    if len(leaked):
        raise InputError(
            f"split {split.name!r}: test sample {leaked[0]!r} is among those that genes, scaler or autoencoder "
            f"would be learned from ({len(leaked)} such), though the variant is inductive"
        )


def without_test(sources: Sequence[Source], split: Split) -> dict[str, pd.DataFrame]:
    """Return, by source, what an inductive choice of genes may see: nothing of a test line, by whatever name.

    Of the own source, which comes first, that is the training set; of another all but the lines that are tested here.
    """
    own = sources[0]
    frames = {own.name: own.expression.loc[split.train]}
    check_unseen(frames[own.name].index, split)
    hidden = pd.Index(own.line.loc[split.test])
    for source in sources[1:]:
        frames[source.name] = source.expression[~source.line.isin(hidden).to_numpy()]
    return frames


def choose_genes(sources: Sequence[Source], recipe: Recipe, n_genes: int, split: Split) -> pd.Index:
    """Return the most variable genes of the own source (which comes first), or of each source, united."""
    chosen = sources if recipe.genes == ALL else sources[:1]
    if recipe.scaling == TRAINING:
        return variable_genes(without_test(chosen, split), n_genes)
    return variable_genes({source.name: source.expression for source in chosen}, n_genes)


def within(sources: Sequence[Source], recipe: Recipe) -> list[Source]:
    """Return the sources whose samples scaler or autoencoder see; the training set is part of the own one."""
    last = max(SCOPES.index(scope) for scope in (OWN, recipe.scaling, recipe.pretraining))
    return [source for source in sources if SCOPES.index(source.role) <= last]


def used(sources: Sequence[Source], recipe: Recipe) -> list[Source]:
    """Return the sources that a representation depends on, those that only choose genes too."""
    return list(sources) if recipe.genes == ALL else within(sources, recipe)


def joined(sources: Sequence[Source]) -> tuple[pd.DataFrame, pd.Series]:
    """Put sources into one table of their common genes.

    Returns
    -------
    DataFrame, samples x genes
        Where one of several sources is z-scored over its genes (a microarray), every sample is.
    Series
        Role of the source of each sample.
    """
    unit = "z-score" if any(source.unit == "z-score" for source in sources) else sources[0].unit
    table, domain = sources[0].prefixed(), pd.Series(sources[0].role, index=sources[0].expression.index)
    for source in sources[1:]:
        other = source.prefixed()
        table = join_domains(table, other, unit)
        domain = pd.concat([domain, pd.Series(source.role, index=other.index)])
    return table, domain


def seen(table: pd.DataFrame, domain: pd.Series, scope: str, split: Split) -> pd.DataFrame:
    """Return the rows of a joined table that a scope takes in."""
    if scope == TRAINING:
        rows = table.loc[split.train]
        check_unseen(rows.index, split)
        return rows
    roles = SCOPES[: SCOPES.index(scope) + 1]
    return table[domain.isin(roles).to_numpy()]


def encode(sources: Sequence[Source], recipe: Recipe, split: Split, seed: int, n_genes: int, device: str,
           damae: dict[str, Any]) -> pd.DataFrame:  # fmt: skip
    """Choose genes, standardise, train a representation, and return the codes of the own source.

    Parameters
    ----------
    sources : sequence of Source
        The own one first.
    recipe : Recipe
        As it can be run with these sources (`leaplib.runs.recipes.resolve`).
    split : Split
        Its training set, where the recipe is inductive; else it plays no part.
    seed : int
    n_genes : int
        Most variable genes a source.
    device : str
    damae : dict
        Settings of the autoencoder that differ from its defaults.

    Returns
    -------
    DataFrame, samples x components
    """
    genes = choose_genes(sources, recipe, n_genes, split)
    table, domain = joined(within(sources, recipe))
    table = table[genes]
    if recipe.correction != "together":  # which is what the scaler does
        table = harmonise(table, domain, recipe.correction)
    scaler = ExpressionScaler(len(genes)).fit(seen(table, domain, recipe.scaling, split))
    training = scaler.transform(seen(table, domain, recipe.pretraining, split))
    model = pretraining.make_representation(recipe.representation, seed, **{**damae, "device": device}).fit(training)
    own = scaler.transform(table.loc[sources[0].expression.index])
    return pd.DataFrame(model.transform(own), index=own.index).rename(columns=str)
