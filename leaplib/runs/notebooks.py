"""Run the numbered notebooks through papermill."""

import ast
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout, home
from leaplib.base.store import atomic_path, sweep
from leaplib.profiles import Profile, get_profile
from leaplib.runs import records


class OwnKernel(AsyncKernelManager):
    """Starts kernels on the interpreter that runs `leap`, whatever a kernelspec on this machine calls python3."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))


class NotebookError(RuntimeError):
    """A cell failed; the message names notebook, cell and error."""


def notebook_folder() -> Path:
    """Return the folder of the numbered notebooks: of `home()`, else of the checkout."""
    for root in (home(), Path(__file__).resolve().parents[2]):
        if sorted((root / "notebooks").glob("[0-9]*.ipynb")):
            return root / "notebooks"
    raise InputError(f"no notebooks in {home() / 'notebooks'}: run from a checkout of the repository")


def find_notebooks(numbers: Sequence[str] | None = None, folder: Path | None = None) -> list[Path]:
    """Return the notebooks in order, or those whose numbers are given ("03", "07").

    Raises
    ------
    InputError
        For a number that no notebook has.
    """
    known = {number_of(path): path for path in sorted((folder or notebook_folder()).glob("[0-9]*.ipynb"))}
    for number in numbers or []:
        if number not in known:
            raise InputError(f"notebook {number!r} is unknown: use some of {', '.join(known)}")
    return [path for number, path in known.items() if not numbers or number in numbers]


def number_of(path: Path) -> str:
    """Return the number of a notebook, such as "03"."""
    return path.name.split("_")[0]


def check_parameters(path: Path, parameters: Mapping[str, Any]) -> None:
    """Check that a notebook takes these parameters.

    papermill runs a notebook without a `parameters` cell with its defaults in silence, and ignores an
    unknown parameter; both are errors here.

    Raises
    ------
    InputError
        When no cell, or more than one, is tagged `parameters`, or a parameter is not set in it.
    """
    cells = nbformat.read(path, as_version=4).cells
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"{path.name}: {len(tagged)} cells are tagged 'parameters': exactly one is needed")
    assigned = [node.targets for node in ast.parse(tagged[0].source).body if isinstance(node, ast.Assign)]
    known = {target.id for targets in assigned for target in targets if isinstance(target, ast.Name)}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise InputError(
            f"{path.name}: unknown parameter {unknown[0]!r}: it takes {', '.join(sorted(known)) or 'none'}"
        )


def run_notebook(path: Path, profile: str, **parameters: Any) -> float:
    """Execute a notebook into `notebooks/executed/<profile>/` and return the seconds it took.

    Raises
    ------
    InputError
        For an unknown parameter or a missing `parameters` cell.
    NotebookError
        When a cell fails, or the kernel dies; the executed copy up to that cell is kept.
    """
    values = {"profile": profile, **parameters}
    check_parameters(path, values)
    output = Layout(profile).executed / path.name
    started = time.perf_counter()
    with atomic_path(output) as temporary:
        failure = _execute(path, temporary, values)
    if isinstance(failure, DeadKernelError):
        raise NotebookError(f"{path.name}: its kernel died (killed, or out of memory): run it again") from failure
    if failure is not None:
        message = f"{failure.ename}: {failure.evalue}".splitlines()[0]
        cell = _cell_number(output, failure.cell_index)
        raise NotebookError(f"{path.name}, cell {cell}: {message} (see {output})") from failure
    return time.perf_counter() - started


def _cell_number(executed: Path, index: int) -> int:
    """Return a cell's number in the notebook itself; the executed copy has one more, with the parameters."""
    cells = nbformat.read(executed, as_version=4).cells[: index + 1]
    return sum("injected-parameters" not in cell.metadata.get("tags", []) for cell in cells)


def _execute(path: Path, output: Path, values: Mapping[str, Any]) -> PapermillExecutionError | DeadKernelError | None:
    """Run papermill quietly; a cell's failure is returned, so that the executed copy is kept."""
    environment = dict(os.environ)
    # Kernels import the leaplib that runs: it may be that of a checkout, found from its folder alone.
    ours = [str(folder) for folder in [Path(__file__).parents[2]] if folder.name != "site-packages"]
    found = os.pathsep.join([*ours, *filter(None, [environment.get("PYTHONPATH")])])
    os.environ.update({"LEAP_BATCH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONPATH": found})
    try:
        # A kernel that is told to stop now and then calls that an error; those of cells come back by themselves.
        papermill.execute_notebook(str(path), str(output), parameters=dict(values), kernel_name="python3",
                                   language="python", kernel_manager_class=OwnKernel, cwd=str(path.parent),
                                   progress_bar=False, log_output=False,
                                   extra_arguments=["--IPKernelApp.log_level=CRITICAL"])  # fmt: skip
    except (PapermillExecutionError, DeadKernelError) as error:
        return error
    finally:
        os.environ.clear()
        os.environ.update(environment)
    return None


def run_notebooks(profile: str, numbers: Sequence[str] | None = None,
                  **parameters: Any) -> tuple[dict[str, float], list[str]]:  # fmt: skip
    """Run the notebooks in order and print one line each.

    Returns
    -------
    dict of str to float
        Seconds by name of those that ran to their end.
    list of str
        What failed, a line each: the others go on without it.
    """
    for folder in (Layout(profile).executed, Layout(profile).figures):
        sweep(folder)
    seconds, failed = {}, []
    paths = find_notebooks(numbers)
    for position, path in enumerate(paths, start=1):
        print(f"[{position}/{len(paths)}] {path.name} ...", end=" ", flush=True)
        try:
            seconds[path.name] = run_notebook(path, profile, **parameters)
        except (InputError, StorageError):
            raise
        except Exception as error:  # a cell, a kernel that dies or does not start: the other notebooks go on
            failed.append(_recorded(profile, path, error))
            print("failed", flush=True)
            continue
        records.forget(profile, _job(path))
        print(f"{seconds[path.name]:.0f} s", flush=True)
    return seconds, failed


def _job(path: Path) -> str:
    return f"notebook {path.stem}"


def _recorded(profile: str, path: Path, error: Exception) -> str:
    """Keep a notebook's failure with its traceback, and return it in one line."""
    failure = records.failure_of(_job(path), "", error.__cause__ or error)
    records.keep(profile, failure)
    return str(error) if isinstance(error, NotebookError) else failure.line()


def describe(profile: Profile) -> pd.DataFrame:
    """Return the sizes of a profile as a table for notebook 00, the paper's beside."""
    ours, paper = asdict(profile), asdict(get_profile("paper"))
    rows = {field: (ours[field], paper[field]) for field in ours if field not in ("name", "about")}
    rows["damae"] = (profile.damae or "as in the paper", "as in the paper")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[profile.name, "paper"])
    return frame.map(lambda value: "all" if value is None else str(value))
