"""What scaler and autoencoder see in the ablations: sources of expression, joined, and the guard of test samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd

from leaplib.base.errors import InputError
from leaplib.cohorts.expression import ExpressionScaler, harmonise, join_domains, variable_genes
from leaplib.cohorts.prepare import at_hand, data_kind, pool_key, pool_of, screen_key, screen_of, xenograft_screen
from leaplib.cohorts.splits import Split
from leaplib.profiles import Profile
from leaplib.representation.kinds import make_representation
from leaplib.runs.recipes import ALL, OWN, SCOPES, SECOND, THIRD, TRAINING, Recipe
from leaplib.tasks import POCKET, TASKS, Task

DEPMAP, GDSC, PDX = "DepMap", "GDSC", "PDX Encyclopedia"
NAMES = {"dependencies": {OWN: DEPMAP, SECOND: GDSC, THIRD: PDX}, "drugs": {OWN: GDSC, SECOND: DEPMAP, THIRD: PDX}}
NAMES |= {"dependencies-22q4": NAMES["dependencies"], "pocket": NAMES["drugs"]}
TASK_OF = {DEPMAP: TASKS["1a"], GDSC: TASKS["2a"]}  # whose pool is the source's expression


@dataclass(frozen=True)
class Origin:
    """What identifies a source, known before its files are read.

    Parameters
    ----------
    role : {"own", "second", "third"}
    name : str
    key : dict
        What identifies the content.
    """

    role: str
    name: str
    key: dict


@dataclass(frozen=True)
class Source(Origin):
    """Expression of one source.

    Parameters
    ----------
    role, name, key
        As `Origin`.
    expression : DataFrame, samples x genes
        In `unit`.
    unit : str
    line : Series
        Of each sample, what identifies its line in all sources: its DepMap id where it is known, else its name.
    """

    expression: pd.DataFrame
    unit: str
    line: pd.Series

    def prefixed(self) -> pd.DataFrame:
        """Return the expression with sample names that no other source has; those of the own source stay."""
        prefix = "" if self.role == OWN else f"{self.name}: "
        return self.expression.rename(index=lambda name: f"{prefix}{name}")


AnOrigin = TypeVar("AnOrigin", bound=Origin)


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


def origins_of(profile: Profile, task: Task) -> list[Origin]:
    """Return a task's sources that are there, its own first; real data are joined with real ones only.

    The pocket of gene effects has no other source: its expression is GDSC's itself.
    """
    on, kind, task = data_kind(profile, task.screen), _kind(profile, task), at_hand(profile, task)
    found = []
    for role, name in names_of(task).items():
        whose = _task_of(role, name, task)
        if role == OWN or (on != POCKET and data_kind(kind, whose.screen if whose else "xenografts") == on):
            found.append(Origin(role, name, pool_key(kind, whose) if whose else screen_key(kind, "xenografts")))
    return found


def sources_of(profile: Profile, task: Task) -> list[Source]:
    """Return the sources of `origins_of` with their expression."""
    kind = _kind(profile, task)
    return [_source(origin, kind, task) for origin in origins_of(profile, task)]


def _kind(profile: Profile, task: Task) -> Profile:
    """Return the profile, with all data simulated where the task's are."""
    simulated = data_kind(profile, task.screen) == "simulated"
    return replace(profile, simulated=True) if simulated else profile


def _task_of(role: str, name: str, task: Task) -> Task | None:
    """Return the task whose pool is a source's expression; none where that is the xenografts'."""
    return task if role == OWN else TASK_OF.get(name)


def _source(origin: Origin, kind: Profile, task: Task) -> Source:
    """Read the expression of a source."""
    whose = _task_of(origin.role, origin.name, task)
    if whose is None:
        tumours = xenograft_screen(kind)[1].expression
        return Source(**vars(origin), expression=tumours, unit="log2", line=tumours.index.to_series())
    expression, screen = pool_of(kind, whose).expression, screen_of(kind, whose.screen)
    lines = lines_of(expression.index, screen.samples)
    return Source(**vars(origin), expression=expression, unit=screen.unit, line=lines)


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


def within(sources: Sequence[AnOrigin], recipe: Recipe) -> list[AnOrigin]:
    """Return the sources whose samples scaler or autoencoder see; the training set is part of the own one."""
    last = max(SCOPES.index(scope) for scope in (OWN, recipe.scaling, recipe.pretraining))
    return [source for source in sources if SCOPES.index(source.role) <= last]


def used(sources: Sequence[AnOrigin], recipe: Recipe) -> list[AnOrigin]:
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


def encode(sources: Sequence[Source], recipe: Recipe, split: Split, seeds: Sequence[int], n_genes: int, device: str,
           damae: dict[str, Any]) -> list[pd.DataFrame]:  # fmt: skip
    """Choose genes, standardise, train one representation a seed, and return the codes of the own source.

    Parameters
    ----------
    sources : sequence of Source
        The own one first.
    recipe : Recipe
        As it can be run with these sources (`leaplib.runs.ablations.resolve`).
    split : Split
        Its training set, where the recipe is inductive; else it plays no part.
    seeds : sequence of int
    n_genes : int
        Most variable genes a source.
    device : str
    damae : dict
        Settings of the autoencoder that differ from its defaults.

    Returns
    -------
    list of DataFrame, samples x components
    """
    genes = choose_genes(sources, recipe, n_genes, split)
    table, domain = joined(within(sources, recipe))
    table = table[genes]
    if recipe.correction != "together":  # which is what the scaler does
        table = harmonise(table, domain, recipe.correction)
    scaler = ExpressionScaler(len(genes)).fit(seen(table, domain, recipe.scaling, split))
    training = scaler.transform(seen(table, domain, recipe.pretraining, split))
    damae = {**damae, "device": device}
    models = [make_representation(recipe.representation, seed, **damae).fit(training) for seed in seeds]
    own = scaler.transform(table.loc[sources[0].expression.index])
    return [pd.DataFrame(model.transform(own), index=own.index).rename(columns=str) for model in models]
