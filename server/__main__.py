"""The command line: `python -m server`, and its commands `search`, `health` and `check`."""

import asyncio
import logging
import os
import sys
from collections.abc import Sequence

import tyro

from base.errors import InputError

logger = logging.getLogger("server")  # not __name__, which is "__main__"


def main(arguments: Sequence[str], program: str = "python -m server") -> int:
    """Run a command and return its exit code, which is 2 for an invalid argument.

    Args:
        arguments: The command line after the program's name.
        program: The name of the program in help texts.
    """
    try:
        if arguments[:1] == ["search"]:
            return _search(arguments[1:], program)
        if arguments[:1] == ["health"]:
            return _health(arguments[1:], program)
        if arguments[:1] == ["check"]:
            _check(arguments[1:], program)
            return 0
        return _serve(arguments, program)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _search(arguments: Sequence[str], program: str) -> int:
    # Each command imports only its own modules, because those of the server take seconds to import.
    from server.cli.search import SearchConfig, search
    from shortlist.client import ShortlistError

    config = tyro.cli(SearchConfig, args=arguments, prog=f"{program} search")
    try:
        search(config)
    except ShortlistError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from None
    return 0


def _check(arguments: Sequence[str], program: str) -> None:
    from server.cli.check import CheckConfig, check

    check(tyro.cli(CheckConfig, args=arguments, prog=f"{program} check"))


def _health(arguments: Sequence[str], program: str) -> int:
    from server.cli.health import HealthConfig, ask_health, is_serving

    config = tyro.cli(HealthConfig, args=arguments, prog=f"{program} health")
    try:
        answer = ask_health(config)
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from None
    sys.stdout.write(f"{answer}\n")
    return 0 if is_serving(answer) else 1


def _serve(arguments: Sequence[str], program: str) -> int:
    # Without these variables, gRPC's core and XLA write plain text between the log records. For
    # example, gRPC does so after a failed handshake, which any client can cause. The libraries read
    # the variables when they are imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # 3: only the reason of a crash
    from server.cli.settings import load
    from server.observe.log_format import configure
    from server.service import serve

    settings = load(arguments, os.environ, program)
    configure(settings.config.log_format)
    logger.info("settings", extra={"fields": settings.loggable()})
    logger.info("setting sources", extra={"fields": dict(settings.sources)})
    try:
        asyncio.run(serve(settings.config))
    except InputError as error:
        if settings.config.log_format == "text":
            raise
        logger.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
