"""Run the numbered notebooks through papermill."""

import ast
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager

from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout, data_folder, home
from leaplib.base.store import atomic_path, key_of, package_version, stamps, sweep, versions
from leaplib.profiles import Profile, get_profile
from leaplib.runs import records


class OwnKernel(AsyncKernelManager):
    """Starts kernels on the interpreter that runs `leap`, whatever a kernelspec on this machine calls python3.

    They import the leaplib that runs (it may be that of a checkout, found from its folder alone), and know that
    nobody watches.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, kernel_spec_manager=KernelSpecManager(kernel_dirs=[]))

    async def start_kernel(self, **settings: Any) -> None:  # type: ignore[override]
        """Start the kernel."""
        environment = dict(settings.pop("env", None) or os.environ)
        ours = [str(folder) for folder in [Path(__file__).parents[2]] if folder.name != "site-packages"]
        found = os.pathsep.join([*ours, *filter(None, [environment.get("PYTHONPATH")])])
        environment |= {"LEAP_BATCH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "PYTHONPATH": found}
        await super().start_kernel(env=environment, **settings)


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


def _cells(path: Path) -> list[dict[str, Any]]:
    """Return the cells of a notebook; nbformat is slow to import, and for execution alone."""
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def check_parameters(path: Path, parameters: Mapping[str, Any]) -> None:
    """Check that a notebook takes these parameters.

    papermill runs a notebook without a `parameters` cell with its defaults in silence, and ignores an
    unknown parameter; both are errors here.

    Raises
    ------
    InputError
        When no cell, or more than one, is tagged `parameters`, or a parameter is not set in it.
    """
    tagged = [cell for cell in _cells(path) if "parameters" in cell["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise InputError(f"{path.name}: {len(tagged)} cells are tagged 'parameters': exactly one is needed")
    nodes = ast.parse("".join(tagged[0]["source"])).body
    known = {target.id for node in nodes if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise InputError(
            f"{path.name}: unknown parameter {unknown[0]!r}: it takes {', '.join(sorted(known)) or 'none'}"
        )


def key_of_notebook(path: Path, values: Mapping[str, Any]) -> str:
    """Return what identifies an execution: its cells and parameters, the library, and the results that are there.

    Results and data are told by names, sizes and times; the jobs have just seen that they are whole.
    """
    layout = Layout(values["profile"])
    folders = layout.results, layout.processed, data_folder() / "raw", home() / "data" / "reference"
    left = {"own_samples", "derived", "failures"}  # by notebooks themselves
    found = {file: stamp for file, stamp in stamps(folders).items() if not left & set(Path(file).parts)}
    failed = [failure.line() for failure in records.recorded(layout.profile) if failure.task]
    return key_of({"cells": [cell["source"] for cell in _cells(path)], "values": values, "code": package_version(),
                   "versions": versions(), "files": found, "failed": failed})  # fmt: skip


def is_current(path: Path, key: str, profile: str) -> bool:
    """Tell whether the executed copy is of this key, and what was drawn and saved meanwhile is there."""
    try:
        copy = json.loads((Layout(profile).executed / path.name).read_text(encoding="utf-8"))
        kept = copy["metadata"]["leaplib"]
        return kept["key"] == key and set(kept["made"]) <= set(_made(profile))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _made(profile: str) -> dict[str, int]:
    """Return the figures and tables that are there, and when each was written."""
    folder = Layout(profile).figures
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("[!.]*.*")}


def run_notebook(path: Path, profile: str, **parameters: Any) -> float:
    """Execute a notebook into `notebooks/executed/<profile>/` and return the seconds it took.

    Raises
    ------
    InputError
        For an unknown parameter or a missing `parameters` cell.
    NotebookError
        When a cell fails, or the kernel dies; the executed copy up to that cell is kept.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    values = {"profile": profile, **parameters}
    check_parameters(path, values)
    output, started = Layout(profile).executed / path.name, time.perf_counter()
    key, before, failure = key_of_notebook(path, values), _made(profile), None
    with atomic_path(output) as temporary:
        try:
            # A kernel that is told to stop now and then calls that an error; those of cells come back by themselves.
            executed = papermill.execute_notebook(
                str(path), str(temporary), parameters=values, kernel_name="python3", language="python",
                kernel_manager_class=OwnKernel,
                cwd=str(path.parent), progress_bar=False, log_output=False,
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"])  # fmt: skip
            made = [name for name, written in _made(profile).items() if before.get(name) != written]
            executed.metadata["leaplib"] = {"key": key, "made": sorted(made)}
            nbformat.write(executed, temporary)
        except (PapermillExecutionError, DeadKernelError) as error:
            failure = error  # the executed copy is kept
    if isinstance(failure, DeadKernelError):
        raise NotebookError(f"{path.name}: its kernel died (killed, or out of memory): run it again") from failure
    if failure is not None:
        message = f"{failure.ename}: {failure.evalue}".splitlines()[0]
        cells = _cells(output)[: failure.cell_index + 1]  # the executed copy has one more, with the parameters
        number = sum("injected-parameters" not in cell["metadata"].get("tags", []) for cell in cells)
        raise NotebookError(f"{path.name}, cell {number}: {message} (see {output})") from failure
    return time.perf_counter() - started


@contextmanager
def _stopped(pool: ThreadPoolExecutor) -> Iterator[None]:
    """Where something else than a notebook stops the run, stop the kernels too."""
    try:
        yield
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for child in psutil.Process().children(recursive=True):
            child.kill()
        raise


def run_notebooks(profile: str, numbers: Sequence[str] | None = None, jobs: int = 1, force: bool = False,
                  **parameters: Any) -> tuple[dict[str, float], list[str]]:  # fmt: skip
    """Run notebooks, so many side by side, and print one line each; one that would show the same again is not run.

    Returns
    -------
    dict of str to float
        Seconds by name of those that ran to their end.
    list of str
        What failed, a line each: the others go on without it.
    """
    for folder in (Layout(profile).executed, Layout(profile).figures):
        sweep(folder)
    seconds, failed, paths = {}, [], find_notebooks(numbers)
    values = {"profile": profile, **parameters}
    to_do = [path for path in paths if force or not is_current(path, key_of_notebook(path, values), profile)]
    with ThreadPoolExecutor(jobs) as pool, _stopped(pool):
        running = {pool.submit(run_notebook, path, **values): path for path in to_do}
        for path in paths:
            if path not in to_do:
                print(f"[{paths.index(path) + 1}/{len(paths)}] {path.name} ... done before", flush=True)
        for future in as_completed(running):
            path = running[future]
            try:
                seconds[path.name] = future.result()
                records.forget(profile, f"notebook {path.stem}")
                said = f"{seconds[path.name]:.0f} s"
            except (InputError, StorageError):
                raise
            except Exception as error:  # a cell, a kernel that dies or does not start: the other notebooks go on
                failure = records.failure_of(f"notebook {path.stem}", "", error.__cause__ or error)
                records.keep(profile, failure)
                failed.append(str(error) if isinstance(error, NotebookError) else failure.line())
                said = "failed"
            print(f"[{paths.index(path) + 1}/{len(paths)}] {path.name} ... {said}", flush=True)
    return dict(sorted(seconds.items())), failed


def describe(profile: Profile) -> pd.DataFrame:
    """Return the sizes of a profile as a table for notebook 00, the paper's beside."""
    ours, paper = asdict(profile), asdict(get_profile("paper"))
    rows = {field: (ours[field], paper[field]) for field in ours if field not in ("name", "about")}
    rows["leaves_out"] = ("; ".join(profile.leaves_out) or "nothing", "nothing")
    rows["damae"] = (profile.damae or "as in the paper", "as in the paper")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[profile.name, "paper"])
    return frame.map(lambda value: "all" if value is None else str(value))
