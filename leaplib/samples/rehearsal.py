"""A rehearsal of `leap fit` and `leap predict`: cell lines of a task are held out and play a user's new samples."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from leaplib.base.layout import Layout
from leaplib.base.metrics import spearman
from leaplib.cohorts.cohort import Cohort
from leaplib.cohorts.prepare import cohort as cohort_of
from leaplib.cohorts.prepare import splits
from leaplib.figures.draw import save_figure
from leaplib.profiles import get_profile
from leaplib.representation.pretraining import embed
from leaplib.samples.own_samples import OwnModel, fit_task, predict_to_file
from leaplib.samples.stratification import page, stratify
from leaplib.samples.uncertainty import coverage, error_by_applicability


@dataclass(frozen=True)
class Rehearsal:
    """What a model says of cell lines that it has not seen, beside what the screen measured.

    Parameters
    ----------
    profile, level : str, float
        As given to `rehearse`.
    cohort : Cohort
    new : DataFrame, samples x genes
        The held-out lines, as they were written to `new_lines.csv`.
    model : OwnModel
        Fitted on all other lines.
    told : list of str
        What `leap predict` says of the file.
    predictions : DataFrame, one row a held-out line and perturbation
        As `OwnModel.predict`, and tissue, measured, and both responses *relative* to the training lines: how many of
        the perturbation's SDs above its mean (`relative`, `measured_relative`).
    unseen : DataFrame, one row a tissue
        Tissues that were left out of the fit: held (share of responses within their intervals), applicability (median).
    """

    profile: str
    level: float
    cohort: Cohort
    new: pd.DataFrame
    model: OwnModel
    told: list[str]
    predictions: pd.DataFrame
    unseen: pd.DataFrame

    @property
    def training(self) -> pd.Index:
        """Lines that the model was fitted on."""
        return self.cohort.samples.index.drop(self.new.index)

    def wide(self, column: str = "prediction") -> pd.DataFrame:
        """Return a column of the predictions as samples x perturbations."""
        return self.predictions.pivot(index="sample", columns="perturbation", values=column)

    def by_perturbation(self) -> pd.Series:
        """Return Spearman's correlation of measured and predicted responses over lines, for each perturbation."""
        measured = self.wide("measured")
        return pd.Series(spearman(measured.to_numpy(), self.wide().to_numpy()), measured.columns)

    def by_line(self) -> pd.Series:
        """Return Spearman's correlation of measured and predicted relative responses, for each held-out line."""
        measured, predicted = self.wide("measured_relative").T, self.wide("relative").T
        return pd.Series(spearman(measured.to_numpy(), predicted.to_numpy()), measured.columns)

    def promising(self) -> str:
        """Return the perturbation that cross-validation on the training lines promises most for."""
        member = self.model.estimator.members_[0]
        return str(pd.Series(member.cv_score_, member.perturbations_).idxmax())

    def of(self, by: str, name: str) -> pd.DataFrame:
        """Return the predictions of a line (by "sample") or of a perturbation, the best first."""
        order = {"sample": "relative", "perturbation": "prediction"}[by]
        rows = self.predictions[self.predictions[by] == name].drop(columns=by)
        return rows.sort_values(order, ascending=False).set_index(rows.columns[0])

    def strata(self, perturbation: str) -> pd.DataFrame:
        """Return the held-out lines by predicted third of a perturbation (`leaplib.stratification.stratify`)."""
        return stratify(self.predictions, self.cohort.response[perturbation], perturbation, data=self.cohort.data)

    def stratification(self, perturbation: str) -> Figure:
        """Draw and save them (`figures/<profile>/own_samples/stratification`)."""
        fig, drawn = page(self.strata(perturbation), self.cohort.label)
        save_figure(fig, drawn, self.profile, "own_samples/stratification")
        return fig

    def intervals(self) -> pd.DataFrame:
        """Return what the intervals hold of the held-out responses, perturbation by perturbation.

        Returns
        -------
        DataFrame
            perturbation, n, covered, width (as `leaplib.uncertainty.coverage`), and, in the perturbation's SDs over
            the training lines, relative_width and without (as wide without any model: the middle of the responses).
        """
        table = coverage(self.wide("measured"), self.wide("lower"), self.wide("upper"))
        response = self.cohort.response.loc[self.training, table["perturbation"]]
        middle = response.quantile([(1 - self.level) / 2, (1 + self.level) / 2]).diff().iloc[1]
        sd = response.std().to_numpy()
        return table.assign(relative_width=table["width"] / sd, without=middle.to_numpy() / sd)

    def error_by_applicability(self) -> pd.DataFrame:
        """Return the error of held-out lines in four bins of their applicability, the farthest first."""
        score = self.predictions.groupby("sample")["applicability"].first()
        return error_by_applicability(self.wide("measured"), self.wide(), score)

    def imperfect(self) -> tuple[pd.DataFrame, list[str]]:
        """Predict from a table that lacks a tenth of the genes, and from one on another scale too.

        Returns
        -------
        DataFrame, one row a way to match genes
            Spearman's correlation of predictions, over lines: with those from the full table, with the measurements.
        list of str
            What was said of the last table.
        """
        lacking = self.new.drop(columns=self.new.columns[::10])
        units = "z-score" if self.cohort.unit == "z-score" else "log"
        full, measured, rows, said = self.wide(), self.wide("measured"), {}, list[str]()
        for match, poor in (("none", lacking), ("domain", 1.5 * lacking + 1)):
            frame, said = self.model.predict(poor, units=units, match=match)
            again = frame.pivot(index="sample", columns="perturbation", values="prediction").to_numpy()
            rows[match] = [spearman(truth.to_numpy(), again).mean() for truth in (full, measured)]
        columns = ["against the full table", "against the measurements"]
        return pd.DataFrame.from_dict(rows, "index", columns=columns).rename_axis("match"), said

    def answer(self, perturbation: str) -> str:
        """Return in words how far such predictions can be trusted."""
        table, thirds = self.intervals(), self.strata(perturbation).groupby("group")["observed"].median()
        others = "".join(f" {row.held:.0%} where {row.Index} was left out," for row in self.unseen.itertuples())
        label, width = self.cohort.label, table["relative_width"].median() / table["without"].median()
        return (
            f"The model ranks lines that it has not seen within a drug with a correlation of "
            f"{self.by_perturbation().mean():.2f}, and drugs within such a line with {self.by_line().mean():.2f}. "
            f"Calling the best third of the lines for {perturbation} shifts the median {label} from "
            f"{thirds['low']:.2f} to {thirds['high']:.2f}.\n\nIts {self.level:.0%} intervals hold {_held(table):.0%} "
            f"of the responses,{others} and are {width:.0%} as wide as without any model: this is for choosing "
            "lines for the next experiment, not for foretelling what one line will do."
        )


def rehearse(
    profile: str, task: str = "2a", level: float = 0.9, n_unseen: int = 2, device: str = "auto", force: bool = False
) -> Rehearsal:
    """Hold out the test lines of a task's first split, fit on all others, predict the held-out ones from a file.

    Parameters
    ----------
    profile : str
    task : str
        One of unseen cell lines, whose autoencoders are those of the profile's runs.
    level : float
        Share of responses that the intervals shall hold.
    n_unseen : int
        Tissues that are left out in turn, the largest first.
    device : {"auto", "cpu", "cuda"}
    force : bool
        Train the autoencoders again.
    """
    settings = get_profile(profile)
    embed(profile, task, device, force)
    cohort, split = cohort_of(profile, task), splits(profile, task)[0]
    folder = Layout(profile).results / "own_samples"
    folder.mkdir(parents=True, exist_ok=True)
    new = cohort.expression.loc[split.test]
    new.to_csv(folder / "new_lines.csv")
    model = fit_task(settings, task, samples=split.train, device=device)
    saved = model.save(folder / "model")
    told = predict_to_file(saved, str(folder / "new_lines.csv"), folder / "predictions.csv", level=level)
    told = [sentence.replace(f"{folder}/", "") for sentence in told]
    predictions = _beside_measured(pd.read_csv(folder / "predictions.csv"), cohort, split.train)
    tissues = cohort.samples["tissue"]
    largest = tissues.value_counts().index[:n_unseen]
    found = [_unseen(profile, task, cohort, tissues == tissue, level, device) for tissue in largest]
    unseen = pd.DataFrame(found, pd.Index(largest, name="tissue"), ["held", "applicability"])
    return Rehearsal(profile, level, cohort, new, model, told, predictions, unseen)


def _beside_measured(predictions: pd.DataFrame, cohort: Cohort, training: pd.Index) -> pd.DataFrame:
    """Put tissue and measured response beside each prediction, and both responses relative to the training lines."""
    known = cohort.response.loc[training]
    measured = pd.Series(cohort.response.stack(), name="measured")
    frame = predictions.join(measured, on=["sample", "perturbation"])
    mean, sd = (frame["perturbation"].map(usual) for usual in (known.mean(), known.std()))
    frame["relative"], frame["measured_relative"] = (frame["prediction"] - mean) / sd, (frame["measured"] - mean) / sd
    return frame.assign(tissue=frame["sample"].map(cohort.samples["tissue"]))


def _unseen(profile: str, task: str, cohort: Cohort, left_out: pd.Series, level: float, device: str) -> list[float]:
    """Return, of a tissue left out of the fit, the share of responses that intervals hold and median applicability."""
    known = cohort.samples.loc[~left_out, "tissue"]
    away = fit_task(get_profile(profile), task, samples=known.index, groups=known, device=device)
    far, _ = away.predict(cohort.expression[left_out], level=level)
    ends = [far.pivot(index="sample", columns="perturbation", values=end) for end in ("lower", "upper")]
    return [_held(coverage(cohort.response[left_out], *ends)), far.groupby("sample")["applicability"].first().median()]


def _held(table: pd.DataFrame) -> float:
    """Return the share of all responses within their intervals."""
    return float((table["covered"] * table["n"]).sum() / table["n"].sum())
