"""Reference results: scores at the paper's settings on real data, kept beside the code in `data/reference/`.

A parquet file a task and model (of ablations: a task, group and variant), `flows.csv` with the counts of the selection
rules, and `provenance.csv`: for each task, model and split what it was made of, by which code, on what machine, and
what it took. Results that an earlier version of the code computed are as good as others: their own version is recorded.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from leaplib.base.errors import DAMAGE, InputError, first_line
from leaplib.base.layout import Layout, data_folder, home, slug
from leaplib.base.store import atomic_folder, key_of, load_frame, provenance, write_text
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import EXTERNAL, FLOW, by_study
from leaplib.cohorts.splits import INNER, XENOGRAFTS, load_splits
from leaplib.models.table import CONTROLS, FEW_SHOT
from leaplib.profiles import get_profile
from leaplib.results.comparisons import MEAN, ORDER, summary
from leaplib.results.external import scored, unseen_truths
from leaplib.results.load import Results
from leaplib.results.printing import markdown, mean_sd
from leaplib.runs.experiment import ABLATION_COLUMNS, CANDIDATE_COLUMNS, COLUMNS, NOT_YET
from leaplib.runs.recipes import Recipe, ablations_of
from leaplib.runs.records import read_log
from leaplib.tasks import TASKS, get_task

PAPER, REAL, DAMAE = "paper", "real", "DAMAE"
ROW = ["task", "group", "model", "member", "split"]
"""What tells one row of the provenance from another; `member` is the number of a representation, or -1."""
MADE = ["cohort", "seed", "settings", "key", "code", "version", "commit", "computed", "device", "processor",
        "precision", "seconds", "core_seconds", "packages"]  # fmt: skip
SCORES = ["group", "study", *COLUMNS]
MARKS = ("<!-- results: written by `make figures` -->", "<!-- end of results -->")
HEADINGS = {("2a", ""): "2a unseen lines", ("2a", "CCLE"): "2a, in CCLE", ("4a", ""): "4a unseen tissue",
            ("4b", ""): "4b, GDSC v1"}  # fmt: skip
DESIGNS = {"holdouts": ["2a"], "tissues": ["4a", "4b"]}
DRAWN = ("spearman", "pearson")  # over test sets of unseen tissues, in supplementary figures 6 and 7
Saved = list[tuple[Path, dict[str, Any]]]


def reference_folder() -> Path:
    """Return where the reference results lie."""
    return home() / "data" / "reference"


# ---- writing


def export_reference(source: str | Path | None = None, data: str = REAL) -> pd.DataFrame:
    """Write the scores that a run at the paper's settings left to `data/reference/`.

    Rows of the same task, model and split are replaced, all others stay.

    Parameters
    ----------
    source : str or Path, optional
        The home folder of the run, such as a clone at another commit; by default this one.
    data : str
        Of which data: others are left out.

    Returns
    -------
    DataFrame
        The provenance of what was written, a row a task, model and split.

    Raises
    ------
    InputError
        When there are no results, or the reference holds a task of other data.
    """
    layout = Layout(PAPER, data_folder() if source is None else Path(source) / "data")
    saved, folder = _saved(layout, data), reference_folder()
    parts = [_named(load_frame(path), about["configuration"]) for path, about in saved]
    tasks = list(dict.fromkeys(part["task"].iloc[0] for part in parts))
    parts += [part for task in tasks for part in _external(layout, task, saved)]
    written = _provenance(layout, saved, _commit(Path(source) if source else Path(__file__).resolve().parents[2]))
    flows = [load_frame(layout.cohort(task) / FLOW).assign(task=task, data=data) for task in tasks]
    _check_cohorts(folder, written)
    with atomic_folder(folder) as new:
        if folder.is_dir():
            shutil.copytree(folder, new, dirs_exist_ok=True)
        scores = pd.concat([_compact(part) for part in parts], ignore_index=True)
        for names, frame in scores.groupby(["task", "group", "model"], sort=False):
            *folders, name = [slug(str(name)) for name in names if name]
            path = new.joinpath(*folders, f"{name}.parquet")
            _write(_merged(path, frame, ["study", "member", "split"]), path)
        for name, frame, keys in (("provenance", written, ROW), ("flows", pd.concat(flows), ["task"])):
            _merged(new / f"{name}.csv", frame, keys).to_csv(new / f"{name}.csv", index=False, lineterminator="\n")
    return written


def _saved(layout: Layout, data: str) -> Saved:
    """Return the files of scores that are of the prepared cohorts and of this kind of data, and what they record."""
    found = []
    for path in sorted((layout.results / "scores").rglob("*.parquet")):
        recorded = provenance(path)
        if recorded is None:
            raise InputError(f"{path}: cannot be read: run `leap run` again, which makes it anew")
        about = recorded["configuration"]
        cohort = provenance(layout.cohort(about["task"]["id"]) / FLOW) or {"configuration": {}}
        current = about["data"] == data and about["cohort"] == cohort["configuration"].get("hash")
        found += [(path, recorded)] if current and INNER not in about["split"] else []
    if not found:
        raise InputError(f"no results of {data} data in {layout.results / 'scores'}: run `leap run --profile {PAPER}` "
                         "there first")  # fmt: skip
    return found


def _about(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the task, group, model, member and split of a result."""
    recipe = about.get("recipe", {})
    name = recipe["name"] if recipe.get("group") else about["model"]
    values = (about["task"]["id"], recipe.get("group", ""), name, about["member"], about["split"])
    return dict(zip(ROW, values, strict=True))


def _named(scores: pd.DataFrame, about: Mapping[str, Any], study: str = "") -> pd.DataFrame:
    return scores.assign(**_about(about), study=study, data=about["data"])[SCORES]


def _external(layout: Layout, task: str, saved: Saved) -> list[pd.DataFrame]:
    """Return the scores of a task's models, and of its own labels, against each external study."""
    folder = layout.cohort(task)
    studies = by_study(load_frame(folder / EXTERNAL), get_task(task))
    if not studies:
        return []
    cohort = Cohort.load(folder)
    files = sorted((layout.processed / "splits").glob(f"task_{task}-*.parquet"), key=lambda path: path.stat().st_mtime)
    files = [path for path in files if (provenance(path) or {})["configuration"]["cohort"] == cohort.hash]
    splits = {split.name: split for split in load_splits(files[-1])}
    own = [
        (path, recorded["configuration"])
        for path, recorded in saved
        if _about(recorded["configuration"])["task"] == task and not _about(recorded["configuration"])["group"]
    ]
    where = layout.results / "predictions" / task
    predictions = ((about, load_frame(where / path.parent.name / path.name)) for path, about in own)
    found = scored(task, cohort, splits, unseen_truths(cohort, splits, studies), predictions)
    return [_named(scores, about, study) for study, scores, about in found]


def _compact(scores: pd.DataFrame) -> pd.DataFrame:
    """Leave of a thousand test sets those that figures draw, and of others their mean."""
    means = (scores["perturbation"] == "") & (scores["split"] != XENOGRAFTS)
    drawn = (scores["level"] == MEAN[0]) & scores["metric"].isin(DRAWN) & (scores["member"] <= 0)
    others = scores[means & ~drawn].groupby([c for c in SCORES if c not in ("value", "test_set")], sort=False)
    return pd.concat([scores[~means | drawn], others["value"].mean().reset_index().assign(test_set=0)])


def _provenance(layout: Layout, saved: Saved, commit: str) -> pd.DataFrame:
    """Return the provenance of results, and of the autoencoders that they rest on, a row each."""
    log, rows = read_log(PAPER, layout), []
    precisions: dict[str | None, str] = {}
    used = {recorded["configuration"].get("representations") for _, recorded in saved}
    for path in sorted((layout.results / "representations").glob("*/scaler.parquet")):
        shared, pool = provenance(path), path.parent.name
        if shared is None or key_of(shared["configuration"]) not in used:
            continue
        for file in sorted(path.parent.glob("damae_*.json")):
            number, precision = int(file.stem.rpartition("_")[2]), json.loads(file.read_text("utf-8"))["precision"]
            entries = log[(log["job"] == f"pretrain {pool} {DAMAE} {number}") & log["seconds"].notna()]
            precisions[key_of(shared["configuration"])] = precision
            row = dict(zip(ROW, (pool, "", DAMAE, number, ""), strict=True)) | {"cohort": "", "seed": number}
            row |= {"settings": shared["configuration"]["damae"], "code": shared["configuration"]["code"]}
            rows.append(row | {"precision": precision} | _made(shared, entries))
    results = [_row(recorded, log, precisions) for _, recorded in saved]
    return pd.DataFrame([*results, *rows]).assign(commit=commit)


def _row(recorded: Mapping[str, Any], log: pd.DataFrame, precisions: Mapping[str | None, str]) -> dict[str, Any]:
    """Return the provenance of one result."""
    about, own = recorded["configuration"], json.loads(json.dumps(asdict(Recipe())))
    row, named = _about(about), {"group", "name"}
    recipe = {name: value for name, value in about["recipe"].items() if value != own.get(name) and name not in named}
    settings = recipe | {"settings": {model: values for model, values in about["settings"].items() if values}}
    logged = row["model"].removesuffix(FEW_SHOT) + (f" r{about['member']}" if about["member"] >= 0 else "")
    entries = log[(log["task"] == row["task"]) & (log["split"] == about["split"]) & (log["model"] == logged)]
    row |= {name: about[name] for name in ("cohort", "seed", "code")} | {"settings": settings}
    row |= {"precision": precisions.get(about["representations"], "")} | _made(recorded, entries)
    tuned = about["model"].endswith(FEW_SHOT)  # its time is that of the model itself
    return row | (dict.fromkeys(("seconds", "core_seconds"), np.nan) if tuned else {})


def _made(recorded: Mapping[str, Any], entries: pd.DataFrame) -> dict[str, Any]:
    """Return which code made a result, on what machine, and what it took, as far as the log tells."""
    entry: dict[Any, Any] = entries.iloc[-1].to_dict() if len(entries) else {}
    packages = "; ".join(f"{name} {version}" for name, version in recorded["versions"].items() if name != "leaplib")
    return {"key": recorded.get("key", ""), "version": recorded["versions"]["leaplib"], "packages": packages,
            "computed": entry.get("time", ""), **{name: entry.get(name, "") for name in ("device", "processor")},
            **{name: entry.get(name, np.nan) for name in ("seconds", "core_seconds")}}  # fmt: skip


def _commit(folder: Path) -> str:
    """Return the commit of a checkout, with a + where its code was changed since; "" where it is none."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if git("status", "--porcelain", "leaplib") else "")


def _check_cohorts(folder: Path, written: pd.DataFrame) -> None:
    """Refuse rows of other data than those of the same task that stay."""
    stays = _read_csv(folder / "provenance.csv", [*ROW, *MADE])
    stays = stays[~_keys(stays, ROW).isin(_keys(written, ROW)) & (stays["cohort"] != "")]
    for task, part in written.groupby("task"):
        others = stays[(stays["task"] == task) & ~stays["cohort"].isin(part["cohort"])]
        if len(others):
            raise InputError(f"{folder}: has {others['model'].iloc[0]} on task {task} of other data: remove "
                             f"{folder / slug(str(task))} and its rows of provenance.csv to begin anew")  # fmt: skip


def _keys(rows: pd.DataFrame, names: Sequence[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(rows[list(names)])


def _merged(path: Path, frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return what a file holds with rows of the same keys replaced, in a fixed order."""
    if path.suffix == ".csv":
        frame = frame.map(lambda value: json.dumps(value, sort_keys=True) if isinstance(value, dict) else value)
        columns = [*ROW, *MADE] if path.stem == "provenance" else ["task", *frame.columns.drop("task")]
        known = _read_csv(path, columns)
    else:
        columns, known = SCORES, _read(path) if path.is_file() else frame.head(0)
    same = list(dict.fromkeys([*keys, "task"]))
    kept = known[~_keys(known, same).isin(_keys(frame, same))]
    table = pd.concat([part for part in (kept, frame) if len(part)], ignore_index=True).reindex(columns=columns)
    order = [*keys, *(c for c in ("level", "metric", "perturbation", "test_set") if c in table)]
    return table.sort_values(order, kind="stable", ignore_index=True)


def _write(scores: pd.DataFrame, path: Path) -> None:
    """Write scores small, and the same scores as the same bytes."""
    table = pa.Table.from_pandas(scores.astype({"value": np.float32, "member": np.int8, "test_set": np.int16}),
                                 preserve_index=False).replace_schema_metadata(None)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [column for column in scores if column != "value"]
    pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=names,
                   use_byte_stream_split=["value"])  # fmt: skip


# ---- reading


def _read(path: Path) -> pd.DataFrame:
    """Return the scores of one file."""
    try:
        return pq.read_table(path).to_pandas()[SCORES].astype({"value": float, "member": int, "test_set": int})
    except (pa.ArrowException, *DAMAGE) as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}): take it from the repository again") from error


def _read_csv(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    if not path.is_file():
        return pd.DataFrame(columns=list(columns))
    return pd.read_csv(path, keep_default_na=False, na_values={name: [""] for name in ("seconds", "core_seconds")})


def reference_provenance() -> pd.DataFrame:
    """Return where the reference results are from, a row a task, model and split: `ROW` and `MADE`."""
    return _read_csv(reference_folder() / "provenance.csv", [*ROW, *MADE])


def reference() -> Results:
    """Return the reference results: the paper's settings on real data, as they lie in `data/reference/`.

    Figures, tables and claims are made of them as of any other results; they are saved under "paper".

    Raises
    ------
    InputError
        When there are none.
    """
    folder = reference_folder()
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise InputError(f"no reference results in {folder}: `leap reference export` writes them")
    rows, times = pd.concat([_read(path) for path in files], ignore_index=True), reference_provenance()
    models, external = rows[rows["group"] == ""].drop(columns="group"), rows["study"] != ""
    numbered = (times["member"] >= 0) & (times["model"] != DAMAE)
    times["model"] = times["model"].where(~numbered, times["model"] + " r" + times["member"].astype(str))
    times = times.loc[(times["group"] == "") & times["seconds"].notna(),
                      ["task", "split", "model", "seconds", "core_seconds"]]  # fmt: skip
    nothing = pd.DataFrame(columns=CANDIDATE_COLUMNS)
    return Results(
        PAPER, tuple(task for task in TASKS if (models["task"] == task).any()),
        scores=models.loc[~external, COLUMNS].reset_index(drop=True), external=models[external].reset_index(drop=True),
        flows=pd.read_csv(folder / "flows.csv"), ablations=_ablations(rows), cohorts={},
        times=times.reset_index(drop=True), harmonised=models.head(0), candidates=nothing, inner=nothing,
        external_candidates=nothing, sensitivity=nothing, curves=nothing,
    )  # fmt: skip


def _ablations(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the variants of the tasks that have models, those without scores with a note, as `Results.ablations`."""
    profile, frames = get_profile(PAPER), [pd.DataFrame(columns=ABLATION_COLUMNS)]
    gap = {"split": "", "level": MEAN[0], "perturbation": "", "test_set": 0, "metric": MEAN[1], "value": np.nan}
    tasks, rows = set(rows.loc[rows["group"] == "", "task"]), rows[rows["group"] != ""]
    for task, variant in [(task, variant) for task, variants in ablations_of(profile) for variant in variants]:
        own = (rows["group"] == variant.group) & (rows["model"] == variant.name) & (rows["task"] == task.id)
        part = rows[own].assign(note="") if own.any() else pd.DataFrame([gap | {"note": NOT_YET}])
        several = (variant.n_representations or profile.n_representations) > 1
        about: dict[str, Any] = {"group": variant.group, "variant": variant.name, "task": task.id, "data": REAL,
                                 "model": "LEAP" if several else variant.model, "member": -1}  # fmt: skip
        frames += [part.assign(**about)[ABLATION_COLUMNS]] if task.id in tasks else []
    return pd.concat(frames[1:] or frames, ignore_index=True)


# ---- README


def readme_table(results: Results) -> str:
    """Return the README's table: mean (SD) over splits of Spearman's correlation per perturbation, the paper's beside.

    Where a model was run on fewer splits than another, their number stands before it.
    """
    table = summary(results.all_scores)
    table = table[(table["level"] == MEAN[0]) & (table["metric"] == MEAN[1])]
    table = table[table["model"] != CONTROLS["training-mean"]]  # 0 by definition
    own = table[table["study"] == ""].set_index(["model", "task"])["published_mean"].dropna()
    table["place"] = [HEADINGS.get(place) for place in zip(table["task"], table["study"], strict=True)]
    table["most"] = table.groupby("place")["n_splits"].transform("max")
    cells: dict[str, dict[str, str]] = {}
    for row in table.dropna(subset="place").to_dict("records"):
        part = "" if row["n_splits"] == row["most"] else f"{row['n_splits']}/{row['most']:.0f}: "
        cells.setdefault(row["model"], {})[row["place"]] = part + mean_sd(row["mean"], row["sd"], 3)
    places = [place for place in HEADINGS.values() if (table["place"] == place).any()]
    theirs = {model: {f"paper, {task}": f"{own[model, task]:.3f}" for task in ("2a", "4a") if (model, task) in own}
              for model in cells}  # fmt: skip
    rows = [{"model": f"**{model}**" if model == "LEAP" else model} | dict.fromkeys(places, "") | cells[model]
            | {"paper, 2a": "", "paper, 4a": ""} | theirs[model] for model in ORDER if model in cells]  # fmt: skip
    return markdown(rows, missing="")


def write_readme(results: Results) -> Path:
    """Write the table and what it rests on between the marks of the README."""
    path, rows = home() / "README.md", reference_provenance()
    drugs = results.scores[results.scores["perturbation"] != ""].groupby("task")["perturbation"].nunique()
    named = ", ".join(f"{number} drugs ({task})" for task, number in drugs.items())
    splits = {name: results.scores.query("task in @tasks")["split"].nunique() for name, tasks in DESIGNS.items()}
    code = sorted({f"{version} ({commit})" for version, commit in zip(rows["version"], rows["commit"], strict=True)})
    machines = ", ".join(sorted(set(rows["processor"]) - {""}))
    about = [f"{named}; {' and '.join(f'{number} {name}' for name, number in splits.items() if number)}.",
             f"Version (commit) {', '.join(code)}; {rows['core_seconds'].sum() / 3600:.1f} core-hours on {machines};",
             "[where each number is from](data/reference/provenance.csv)."]  # fmt: skip
    text = path.read_text(encoding="utf-8")
    before, first, rest = text.partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not last:
        raise InputError(f"{path}: has no lines {MARKS[0]} and {MARKS[1]} to write the results between")
    return write_text(path, "\n".join([before + first, "", readme_table(results), "", *about, "", last + after]))
