"""The console command `shortlist`: one name for the commands of `train` and `server`.

Unlike `python -m train`, a console command does not put the working directory on the import path.
So a `train.py` or a `server/` in the user's folder is never imported.
"""

import difflib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """A subcommand: the main function behind it, and how that function is called."""

    summary: str  # one line of `shortlist --help`
    main: Callable[[Sequence[str], str], int]  # takes arguments and the program's name
    words: tuple[str, ...]  # arguments to put before the user's arguments
    program: str  # the program's name in messages of `main`
    extra: str = ""  # the extra of the package that the command needs


# Each function imports only what its command needs, so `--help` and `health` start at once.


def _import(arguments: Sequence[str], program: str) -> int:
    from commands.import_exports import main as import_exports

    return import_exports(arguments, program)


def _validate(arguments: Sequence[str], program: str) -> int:
    from train.cli.validate import main as validate

    return validate(arguments, program)


def _train(arguments: Sequence[str], program: str) -> int:
    from train.loop.huge_pages import restart_with_huge_pages

    restart_with_huge_pages()  # first: a restart would repeat the next import, which is slow
    from train.cli.main import main as train
    from train.cli.main import training_options

    if any(word.partition("=")[0] == "--from" for word in arguments):
        from commands.import_exports import train_from_export

        return train_from_export(
            arguments,
            lambda rest: training_options(rest, program),
            lambda rest: train(rest, program),
        )
    return train(arguments, program)


def _server(arguments: Sequence[str], program: str) -> int:
    from server.__main__ import main as server

    return server(arguments, program)


def _sync(arguments: Sequence[str], program: str) -> int:
    from commands.sync_export import main as sync_export

    return sync_export(arguments, program)


COMMANDS = {
    "import": Command("turn a shop's export into a dataset", _import, (), "shortlist import"),
    "validate": Command("report every problem of a dataset", _validate, (), "shortlist validate"),
    "train": Command(
        "train on a dataset, or --from an export", _train, (), "shortlist train", "train"
    ),
    "evaluate": Command(
        "measure a bundle on judgments", _train, ("evaluate",), "shortlist", "train"
    ),
    "check": Command(
        "verify a bundle and a state directory", _server, ("check",), "shortlist", "serve"
    ),
    "serve": Command("serve a bundle over gRPC", _server, (), "shortlist serve", "serve"),
    "sync": Command("write an export's changes to a server", _sync, (), "shortlist sync"),
    "search": Command("search a running server", _server, ("search",), "shortlist"),
    "health": Command("ask a running server for its health", _server, ("health",), "shortlist"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: The command line without the program's name; None: the process's command line.

    Returns:
        The subcommand's exit code; 2 if the subcommand is unknown.
    """
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name in ("-h", "--help"):
        sys.stdout.write(_help())
        return 0
    if name == "--version":
        sys.stdout.write(f"shortlist {importlib.metadata.version('shortlist')}\n")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(COMMANDS)}"
        sys.stderr.write(f"error: no command {name!r}: {hint}\n")
        return 2
    command = COMMANDS[name]
    try:
        return command.main([*command.words, *rest], command.program)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not command.extra or not package or importlib.util.find_spec(package):
            raise  # a fault of the program
        sys.stderr.write(
            f"error: shortlist {name} needs packages that are not installed ({package}, …): "
            f"pip install 'shortlist[{command.extra}]'\n"
        )
        return 2


def _help() -> str:
    lines = [f"  {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: shortlist COMMAND [options]",
            "",
            "Two-stage product search: train it, serve it, search it.",
            "",
            "commands:",
            *lines,
            "",
            "`shortlist COMMAND --help` shows the options of a command.",
            "`shortlist --version` shows the version.",
            "",
        ]
    )
