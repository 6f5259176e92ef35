"""The command line of `python -m train`: commands, options, and errors in one line."""

import argparse
import logging
import sys
from collections.abc import Sequence

import tyro

from base.errors import InputError
from train.cli.commands import (
    EvaluateConfig,
    ExportEventsConfig,
    ImportEventsConfig,
    RecommendCommand,
    evaluate_bundle,
    export,
    import_,
    policy,
    recommend,
    train_all,
)
from train.cli.validate import main as validate
from train.evaluation.policy.evaluate import PolicyConfig
from train.pipeline.options import DEMO, TrainConfig, preset
from train.pipeline.run import STEPS, TrainingRun

_ABOUT = {
    "all": "Train towers and reranker, build a bundle and evaluate it: all steps in order.",
    "towers": "Train the towers.",
    "index": "Encode the items, and build the vector index and the lexical index.",
    "mine": "Recall candidates for the queries that the reranker trains on.",
    "rerank": "Train the reranker.",
    "suggest": "Collect the suggestions for shoppers who type.",
    "behaviour": "Count what people do, for recommendations.",
    "people": "Train the user tower, which recommends from a history of events.",
    "bundle": "Assemble the bundle from the results of the steps.",
}
COMMANDS = ("all", "validate", *STEPS, "bundle", "evaluate", "export-events", "import-events")


def main(arguments: Sequence[str], program: str = "python -m train") -> int:
    """Run one command, and return the exit code; `program` is the name in help texts."""
    # `force` replaces the logging configuration that some libraries make on import.
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    for package in ("train", "bert", "search"):
        logging.getLogger(package).setLevel(logging.INFO)
    command, rest = _command(arguments)
    try:
        return _dispatch(command, rest, program)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # such as a directory that cannot be written, or a full disk
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 2


def training_options(arguments: Sequence[str], program: str) -> TrainConfig | None:
    """Return the options of a command that trains; None if there is no such command.

    Raises:
        SystemExit: an option is wrong, or `--help` is given.
    """
    command, rest = _command(arguments)
    if command not in _ABOUT:
        return None
    return _training_options(command, rest, f"{program} {command}")


def _command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Return the command, which is `all` if none is given, and its options."""
    if arguments and not arguments[0].startswith("-"):
        return arguments[0], list(arguments[1:])
    return "all", list(arguments)


def _training_options(command: str, rest: list[str], program: str) -> TrainConfig:
    others = ", ".join(name for name in COMMANDS if name != command)
    about = f"{_ABOUT[command]} Other commands, each with its own --help: {others}."
    return tyro.cli(TrainConfig, args=rest, prog=program, default=_default(rest), description=about)


def _dispatch(command: str, rest: list[str], program: str) -> int:
    program = f"{program} {command}"
    if command not in COMMANDS:
        print(f"error: no command {command!r}: one of {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    if command == "validate":
        return validate(rest, program)
    if command == "evaluate":
        _evaluate(rest, program)
    elif command == "export-events":
        export(tyro.cli(ExportEventsConfig, args=rest, prog=program))
    elif command == "import-events":
        import_(tyro.cli(ImportEventsConfig, args=rest, prog=program))
    else:
        config = _training_options(command, rest, program)
        if command == "all":
            train_all(config)
        else:
            TrainingRun(config).run(only=command)
    return 0


def _evaluate(rest: list[str], program: str) -> None:
    """Evaluate the task that --task names; the other options depend on it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--task", default="search")
    options, rest = parser.parse_known_args(rest)
    about = "Tasks: --task search (the default), recommend and policy, each with its own --help."
    if options.task == "search":
        evaluate_bundle(tyro.cli(EvaluateConfig, args=rest, prog=program, description=about))
    elif options.task == "recommend":
        program = f"{program} --task recommend"
        recommend(tyro.cli(RecommendCommand, args=rest, prog=program, description=about))
    elif options.task == "policy":
        program = f"{program} --task policy"
        policy(tyro.cli(PolicyConfig, args=rest, prog=program, description=about))
    else:
        raise InputError(f"--task {options.task}: one of search, recommend, policy")


def _default(rest: list[str]) -> TrainConfig:
    """Return the preset that --preset and --data select; other flags override its values."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default="auto")
    parser.add_argument("--data", default=DEMO)
    known, _ = parser.parse_known_args(rest)
    return preset(known.preset, known.data)
