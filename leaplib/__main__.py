"""The command line: thin, calls the library."""

import argparse
import os
import select
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from leaplib.base.errors import InputError, StorageError
from leaplib.base.layout import Layout
from leaplib.profiles import get_profile

COMMANDS = Path(__file__).with_name("commands.toml")


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with code 2."""
        self.exit(2, f"leap: {InputError(message)}: use `{self.prog} --help` for the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `leap` command and return its exit code: 0, 1 (a run failed), 2 (bad input) or 141 (a closed pipe)."""
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()  # a reader that is gone shows here, not when Python ends
    except BrokenPipeError:
        if not _silenced():
            raise  # another pipe than that of the output, such as a worker's
        return 141  # as a command that the signal of a closed pipe ends


def _silenced() -> bool:
    """Send the streams whose reader is gone nowhere, so that Python can end without a word; tell if there were any."""
    gone = [stream for stream in (sys.stdout, sys.stderr) if _reader_is_gone(stream)]
    with open(os.devnull, "wb") as nowhere:
        for stream in gone:
            os.dup2(nowhere.fileno(), stream.fileno())
    return bool(gone)


def _reader_is_gone(stream: TextIO) -> bool:
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _run(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        return options.action(options) or 0
    except (InputError, StorageError) as error:
        return _say(str(error), 2 if isinstance(error, InputError) else 1)
    except OSError as error:
        if error.filename is None:  # no file of the user's
            raise
        return _say(
            str(InputError(f"{error.filename}: {error.strerror}: check permissions, disk space and LEAP_DATA")), 2
        )
    except KeyboardInterrupt:
        return _say("interrupted; the same command goes on where it stopped", 130)


def _say(message: str, code: int = 0) -> int:
    print(f"leap: {message}", file=sys.stderr)
    return code


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: use 1 or more")
    return int(text)


def _numbers(text: str) -> list[int]:
    return [_positive(part) for part in _names(text)]


TYPES: dict[str, Callable] = {"names": _names, "positive": _positive, "numbers": _numbers, "int": int, "float": float}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, which stand in `commands.toml`."""
    parser = Parser(prog="leap", description="Replicate the LEAP paper, or parts of it.")
    groups = {"": parser.add_subparsers(dest="command", required=True)}
    for name, options in tomllib.loads(COMMANDS.read_text(encoding="utf-8")).items():
        *group, own = name.split()
        command = groups["".join(group)].add_parser(own, help=options.pop("about"))
        if "action" not in options:  # a group of commands
            groups[own] = command.add_subparsers(dest=f"{own}_command", required=True)
            continue
        command.set_defaults(action=globals()[options.pop("action")])
        for flag, settings in options.items():
            settings |= {"type": TYPES[settings["type"]]} if "type" in settings else {}
            command.add_argument(flag, **settings)
    return parser


def _chosen(options: argparse.Namespace) -> list[Any]:
    """Return the jobs that the options ask for."""
    from leaplib.base.compute import resolve_device
    from leaplib.models.table import USUAL, check_models
    from leaplib.runs.jobs import in_stages, notebook_jobs, task_jobs
    from leaplib.runs.notebooks import find_notebooks, number_of
    from leaplib.tasks import get_task

    profile = get_profile(options.profile)
    resolve_device(options.device)
    if options.tasks and options.notebooks:
        raise InputError("--tasks and --notebooks exclude each other: give one of them")
    if options.splits and len(options.tasks or ()) != 1:
        raise InputError("--splits needs --tasks with the one task whose samples it divides: give that")
    if options.models and not options.tasks:
        raise InputError("--models needs --tasks (notebooks choose their own models): give --tasks too")
    models, tasks = check_models(options.models or USUAL), [get_task(name) for name in options.tasks or ()]
    if tasks:
        how = models, options.device, options.splits
        return in_stages(job for task in tasks for job in task_jobs(profile, task, *how))
    numbers = [number_of(path) for path in find_notebooks(options.notebooks)]
    return notebook_jobs(profile, numbers, options.device)


def run_command(options: argparse.Namespace) -> int:
    """Do jobs, then run notebooks or print the tasks' scores; say where results lie and what failed."""
    from leaplib.runs.pool import Backend, run_jobs

    jobs = _chosen(options)
    if (options.backend == "dask") != bool(options.scheduler):
        raise InputError("--backend dask and --scheduler ADDRESS go together: give both, or neither")
    backend = Backend(options.jobs, options.threads, options.scheduler)
    failed = [outcome.failure.line() for outcome in run_jobs(jobs, backend, options.force) if outcome.failure]
    failed += _show_tasks(options) if options.tasks else _show_notebooks(options, backend.n_jobs)
    if failed:
        folder = Layout(options.profile).results / "failures"
        print(f"\n{len(failed)} failed, and are missing in tables and figures (tracebacks: {folder}):", file=sys.stderr)
        print("\n".join(f"  {line}" for line in failed), file=sys.stderr)
    return int(bool(failed))


def _show_tasks(options: argparse.Namespace) -> list[str]:
    """Print the scores of tasks; return what cannot be shown."""
    from leaplib.models.table import USUAL
    from leaplib.results import printing
    from leaplib.results.comparisons import summary
    from leaplib.runs.experiment import load_own, load_scores

    failed = []
    for task in options.tasks:
        try:
            own = options.splits and load_own(options.profile, task, options.models or USUAL, options.splits)
            scores = load_scores(options.profile, [task]) if own is None else own
            shown = printing.styled("supplementary_table_3", summary(scores))
        except InputError as error:
            failed.append(f"task {task}: {error}")
            continue
        print(printing.cells_of(shown).to_string(index=False))
    return failed


def _show_notebooks(options: argparse.Namespace, jobs: int) -> list[str]:
    """Run the notebooks on what is done, so many at a time, and print where all lies; return what failed."""
    from leaplib.runs.notebooks import run_notebooks

    layout = Layout(options.profile)
    seconds, failed = run_notebooks(options.profile, options.notebooks, jobs, options.force, device=options.device)
    print("\nseconds per notebook")
    for name, value in seconds.items():
        print(f"  {value:7.1f}  {name}")
    print(f"  {sum(seconds.values()):7.1f}  in all\n")
    for what, folder in (("figures", layout.figures), ("tables", layout.tables), ("notebooks", layout.executed)):
        print(f"{what:10s} {folder}")
    print(f"\nAll of it as linked pages: leap report --profile {options.profile}")
    return failed


def plan_command(options: argparse.Namespace) -> None:
    """Print the jobs, their states and costs."""
    from leaplib.base.compute import n_cores
    from leaplib.runs.jobs import plan_text

    print(plan_text(_chosen(options), options.cores or [n_cores()], options.list))


def report_command(options: argparse.Namespace) -> None:
    """Build the report of a run and print where its first page lies."""
    from leaplib.report.report import build_report

    print(build_report(options.profile, options.out))


def data_status(options: argparse.Namespace) -> None:
    """Print what is there and which tasks it enables, how to get what is missing, and how the tasks stand."""
    from leaplib.cohorts.prepare import standing
    from leaplib.sources.manifest import status

    table = status()
    print(table[["source", "state", "size", "enables", "file"]].to_string(index=False))
    missing = table[~table["state"].isin(["verified", "present"])]
    if len(missing):
        print("\nHow to get the rest:")
    for row in missing.itertuples():
        print(f"  {row.source}: {row.how}")
    print(f"\n{standing()}")


def data_fetch(options: argparse.Namespace) -> int:
    """Fetch sources, or all of them; each says itself where its files lie."""
    from leaplib.sources.download import fetch, fetch_all

    if "all" not in options.names:
        for name in options.names:
            fetch(name)
        return 0
    failed = fetch_all((lambda _: True) if options.yes else _agreed)
    if failed:
        print(f"\n{len(failed)} not fetched:", *failed, sep="\n  ", file=sys.stderr)
    return int(bool(failed))


def _agreed(question: str) -> bool:
    """Ask on the terminal; without one the answer has to be given before."""
    if not sys.stdin.isatty():
        raise InputError(f"{question} No terminal to answer at: give --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def data_verify(options: argparse.Namespace) -> None:
    """Check the checksums of what is there."""
    from leaplib.sources.manifest import verify

    print(verify()[["source", "state", "file"]].to_string(index=False))


def fit_command(options: argparse.Namespace) -> None:
    """Fit a model on a user's tables or on a task, and say what was done."""
    from leaplib.base.compute import resolve_device
    from leaplib.samples.own_samples import fit_to_folder

    resolve_device(options.device)
    names = ("expression", "response", "task", "groups", "model", "units", "seed", "device")
    _tell(fit_to_folder(options.out, get_profile(options.profile), **{name: getattr(options, name) for name in names}))


def predict_command(options: argparse.Namespace) -> None:
    """Predict a user's samples, and say what was done."""
    from leaplib.samples.own_samples import predict_to_file

    settings = {name: getattr(options, name) for name in ("units", "match", "level", "max_missing")}
    _tell(predict_to_file(options.model, options.expression, options.out, **settings))


def _tell(lines: Sequence[str]) -> None:
    """Print what was done, warnings to standard error."""
    for line in lines:
        if line.startswith("warning: "):
            _say(line)
        else:
            print(line)


def reference_export(options: argparse.Namespace) -> None:
    """Write reference results, and say of what."""
    from leaplib.results.reference import export_reference

    written = export_reference(options.source)
    counts = written.groupby(["task", "model"], sort=False)["split"].nunique()
    print(counts.rename("splits").reset_index().to_string(index=False))


def reference_draw(options: argparse.Namespace) -> None:
    """Draw the reference results, and say where they lie."""
    from leaplib.figures.draw import draw_reference

    print(*draw_reference(), sep="\n")


def release_command(options: argparse.Namespace) -> None:
    """Keep what a release shows beside the code, and say where it lies."""
    from leaplib.figures.draw import draw_reference, fill_gallery
    from leaplib.report.report import render
    from leaplib.results.reference import reference_folder

    drawn = draw_reference() if reference_folder().is_dir() else []
    print(*drawn, *fill_gallery(options.profile), *render(options.profile), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
