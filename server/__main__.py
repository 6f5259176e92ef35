"""Command line: `python -m server --bundle DIR` serves, `… search "…"` asks, `… check` checks."""

import asyncio
import logging
import sys
from collections.abc import Sequence

import tyro

from catalog.errors import InputError
from shortlist.client import ShortlistError

_DESCRIPTION = 'Serve a bundle over gRPC. `python -m server search "usb c charger"` asks one.'


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit code (2: what was given cannot be used)."""
    try:
        if arguments[:1] == ["search"]:
            _search(arguments[1:])
        elif arguments[:1] == ["check"]:
            _check(arguments[1:])
        else:
            _serve(arguments)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except ShortlistError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _search(arguments: Sequence[str]) -> None:
    # Imported here, like the server below, so that the one does not wait for the other's imports.
    from server.terminal import SearchConfig, search  # noqa: PLC0415

    config = tyro.cli(SearchConfig, args=arguments, prog="python -m server search")
    try:
        search(config)
    except (OSError, ValueError) as error:
        raise InputError(str(error)) from None


def _check(arguments: Sequence[str]) -> None:
    from server.check import CheckConfig, check  # noqa: PLC0415

    check(tyro.cli(CheckConfig, args=arguments, prog="python -m server check"))


def _serve(arguments: Sequence[str]) -> None:
    from server.config import ServerConfig  # noqa: PLC0415
    from server.service import serve  # noqa: PLC0415

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for name in ("server", "search"):  # libraries keep to warnings
        logging.getLogger(name).setLevel(logging.INFO)
    config = tyro.cli(
        ServerConfig, args=arguments, prog="python -m server", description=_DESCRIPTION
    )
    asyncio.run(serve(config))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
