"""The tasks of the paper, as data (Table 1 and Methods, "Tasks")."""

from dataclasses import dataclass

from leaplib.errors import InputError


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
    screen : {"drugs", "dependencies"}
        Which screen it draws on; all tasks of a screen share expression and representations.
    label : str
        "AAC" (area above the dose-response curve, 0 to 1), "AUC" (1 - AAC) or "gene dependency".
    studies : tuple of str
        Studies in order of priority: where two measured the same pair, the first wins.
    external : tuple of str
        Studies held out for external validation: counted, never trained on.
    design : {"holdout", "tissue"}
        Random 80/20 holdouts by cell line, or each of the largest tissues in turn.
    min_samples : int
        Perturbations measured in fewer samples are left out (holdout tasks).
    min_sd : float
        Perturbations whose SD over samples is not above this are left out.
    n_tissues, min_samples_per_tissue : int
        Tissue tasks: how many of the largest tissues take their turn, and how many samples of each
        a perturbation needs.
    paper_samples, paper_perturbations, paper_pairs : int
        Counts of the paper's Table 1.
    """

    id: str
    challenge: int
    title: str
    screen: str
    label: str
    studies: tuple[str, ...]
    design: str
    paper_samples: int
    paper_perturbations: int
    paper_pairs: int
    external: tuple[str, ...] = ()
    min_samples: int = 0
    min_sd: float = 0.0
    n_tissues: int = 0
    min_samples_per_tissue: int = 0


TASKS = {
    task.id: task
    for task in (
        Task("1a", 1, "Gene dependency, unseen cell lines", "dependencies", "gene dependency", ("DepMap 23Q4",),
             "holdout", 1019, 1539, 1_568_222, min_sd=0.210),
        Task("2a", 1, "Drug response, unseen cell lines", "drugs", "AAC", ("GDSC v2", "GDSC v1"),
             "holdout", 1399, 649, 551_024, external=("CCLE",), min_samples=75),
        Task("4b", 2, "Drug response, unseen tissue", "drugs", "AUC", ("GDSC v1",),
             "tissue", 951, 194, 166_848, n_tissues=10, min_samples_per_tissue=25),
    )
}  # fmt: skip


def get_task(task_id: str) -> Task:
    """Return a task by its id; an unknown id is an InputError that lists the known ones."""
    if task_id not in TASKS:
        raise InputError(f"task {task_id!r} is unknown: use one of {', '.join(TASKS)}")
    return TASKS[task_id]
