"""The tasks of the paper, as data (Table 1 and Methods, "Tasks")."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from leaplib.base.errors import InputError

DRUG_STUDIES = ("GDSC v2", "GDSC v1", "CCLE", "CTRP")
OTHER_LABORATORIES = ("PRISM", "CCLE", "CTRP")
XENOGRAFT_DRUGS = ("Cetuximab", "Erlotinib", "Tamoxifen", "Trametinib", "Paclitaxel")
MIN_EXTERNAL = 15
POCKET = "real gene effects, 69 lines, 4 tissues"
"""What tasks 1a and 3a rest on while DepMap's own files are absent (`leaplib.sources.depmap`), as outputs say it."""
POCKET_STUDIES = ("DepMap, 4 tissues",)
DATA = ("real", POCKET, "simulated")
"""Kinds of data; what is not "real" never stands beside a published value, and tests no claim."""


@dataclass(frozen=True)
class Task:
    """What is predicted, from which screen, and how models are tested.

    Parameters
    ----------
    id : str
        The paper's name, e.g. "2a".
    challenge : {1, 2, 3}
        Unseen cell lines, unseen tissue, unseen disease model.
    title : str
        A few words for headings and figures.
    screen : {"dependencies", "dependencies-22q4", "effects-18q3", "drugs", "xenografts"}
        Where its labels come from (`leaplib.cohorts.prepare.screen_of`).
    pool : {"dependencies", "dependencies-22q4", "drugs", "xenografts"}
        Whose expression the autoencoders see; all tasks of a pool share their representations.
    label : str
        "AAC" (area above the dose-response curve, 0 to 1), "AUC" (1 - AAC), "1 - AUC", "gene dependency" (probability)
        or "gene effect". On xenografts the response is minus the published best change of the tumour volume, in
        percent: 100 is a tumour that vanished. As for AAC, high means that the drug works.
    studies : tuple of str
        Studies in order of priority: where two measured the same pair, the first wins.
    design : {"holdout", "tissue", "xenograft"}
        Random 80/20 holdouts by cell line, each of the largest tissues in turn, or all cell lines for training
        and the xenografts, less 10 at a time, for the test.
    paper_samples, paper_perturbations, paper_pairs : int
        Counts of the paper's Table 1.
    external : tuple of str
        Studies for external validation. The first, the paper's, is held out where it is there, and the others are
        trained on as in the paper. Without it all others are held out: of two or three laboratories one is for
        training, since a model is worth what it predicts of the others. What is trained on is never external.
    min_samples : int
        Perturbations measured in fewer samples are left out (holdout tasks).
    min_sd : float
        Perturbations whose SD over samples is not above this are left out.
    n_perturbations : int
        Perturbations kept, those that `ranking` puts first; 0 keeps all.
    ranking : {"sd", "standard score"}
        By the SD over samples, or by the largest absolute standard score of any sample.
    n_tissues : int
        Tissue tasks: how many of the largest tissues take their turn; 0: all that are large enough.
    min_tissue : int
        Samples that a tissue needs to take its turn.
    min_samples_per_tissue : int
        Tested samples of each of these tissues that a perturbation needs.
    drugs : tuple of str
        The only drugs of the task; empty: all.
    harmonise : {"together", "per domain", "combat"}
        How cell lines and xenografts are brought together (`leaplib.cohorts.expression.harmonise`).
    """

    id: str
    challenge: int
    title: str
    screen: str
    pool: str
    label: str
    studies: tuple[str, ...]
    design: str
    paper_samples: int
    paper_perturbations: int
    paper_pairs: int
    external: tuple[str, ...] = ()
    min_samples: int = 0
    min_sd: float = 0.0
    n_perturbations: int = 0
    ranking: str = "sd"
    n_tissues: int = 0
    min_tissue: int = 0
    min_samples_per_tissue: int = 0
    drugs: tuple[str, ...] = ()
    harmonise: str = "together"

    def held_out(self, known: Collection[str]) -> tuple[str, ...]:
        """Return the external studies among those that are there."""
        return tuple(study for study in self.external if study in known and study not in self._trained_on(known))

    def _trained_on(self, known: Collection[str]) -> tuple[str, ...]:
        """Return the studies to train on among those that are there."""
        held_out = self.external[:1] if set(self.external[:1]) & set(known) else self.external
        return tuple(study for study in self.studies if study in known and study not in held_out)

    def with_studies(self, known: Collection[str]) -> "Task":
        """Return the task with the studies that are there: the external ones held out, the others trained on.

        Raises
        ------
        InputError
            When no study is left to train on.
        """
        studies = self._trained_on(known)
        if not studies:
            raise InputError(f"task {self.id}: none of its studies ({', '.join(self.studies)}) is at hand: "
                             f"the data are of {', '.join(sorted(known)) or 'no study'}")  # fmt: skip
        return replace(self, studies=studies, external=self.held_out(known))


TASKS = {
    task.id: task
    for task in (
        Task("1a", 1, "Gene dependency, unseen cell lines", "dependencies", "dependencies", "gene dependency",
             ("DepMap 23Q4",), "holdout", 1019, 1539, 1_568_222, min_sd=0.210),
        Task("1b", 1, "Gene dependency (22Q4), unseen cell lines", "dependencies-22q4", "dependencies-22q4",
             "gene dependency", ("DepMap 22Q4",), "holdout", 893, 1223, 1_092_139, n_perturbations=1223),
        Task("2a", 1, "Drug response, unseen cell lines", "drugs", "drugs", "AAC", DRUG_STUDIES,
             "holdout", 1399, 649, 551_024, external=OTHER_LABORATORIES, min_samples=75),
        Task("3a", 2, "Gene dependency, unseen tissue", "dependencies", "dependencies", "gene dependency",
             ("DepMap 23Q4",), "tissue", 1019, 1539, 1_568_222, min_sd=0.210, min_tissue=26),
        Task("3b", 2, "Gene effect (18Q3), unseen tissue", "effects-18q3", "dependencies", "gene effect",
             ("DepMap 18Q3",), "tissue", 335, 469, 157_115, n_perturbations=469, ranking="standard score",
             min_tissue=26),
        Task("4a", 2, "Drug response, unseen tissue", "drugs", "drugs", "AAC", DRUG_STUDIES,
             "tissue", 1399, 580, 528_463, external=OTHER_LABORATORIES, n_tissues=10, min_samples_per_tissue=25),
        Task("4b", 2, "Drug response (GDSC v1), unseen tissue", "drugs", "drugs", "AUC", ("GDSC v1",),
             "tissue", 951, 194, 166_848, external=OTHER_LABORATORIES, n_tissues=10, min_samples_per_tissue=25),
        Task("5a", 3, "Drug response, xenografts", "xenografts", "xenografts", "AAC", DRUG_STUDIES,
             "xenograft", 1390, 5, 6_129, drugs=XENOGRAFT_DRUGS),
        Task("5b", 3, "Drug response (GDSC), xenografts", "xenografts", "xenografts", "1 - AUC",
             ("GDSC v2", "GDSC v1"),
             "xenograft", 0, 5, 0, drugs=XENOGRAFT_DRUGS),
    )
}  # fmt: skip


def on_pocket(task: Task, pool: str) -> Task:
    """Return a gene task as the pocket of gene effects has it; `pool` is where its autoencoders' samples come from.

    The response is minus the effect, so that high means that the line needs the gene, as a probability of dependency.
    """
    return replace(task, label="minus gene effect", studies=POCKET_STUDIES, pool=pool, min_sd=0.15,
                   min_tissue=min(task.min_tissue, 14))  # fmt: skip


def data_words(data: str) -> str:
    """Return how to call a kind of data: "simulated data"."""
    return data if data == POCKET else f"{data} data"


COMPARED = ("ps-knn", "ps-lasso", "leap")
"""Models compared under each way to bring cell lines and xenografts together."""
HARMONISE = ("together", "per domain", "combat")


def harmonised(task: Task, how: str) -> Task:
    """Return a task with another way to bring domains together; the paper's way keeps the task's id."""
    return task if how == task.harmonise else replace(task, id=f"{task.id} {how}", harmonise=how)


def get_task(task_id: "str | Task") -> Task:
    """Return a task by its id ("5a combat" too, see `harmonised`), or as it is; unknown ids are an InputError."""
    if isinstance(task_id, Task):
        return task_id
    name, _, how = task_id.partition(" ")
    if name not in TASKS or (how and how not in HARMONISE[1:]):
        raise InputError(f"task {task_id!r} is unknown: use one of {', '.join(TASKS)}")
    return harmonised(TASKS[name], how or TASKS[name].harmonise)
