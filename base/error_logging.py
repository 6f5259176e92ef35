"""Logging of unexpected exceptions."""

import logging
import traceback


def log_error(logger: logging.Logger, error: BaseException, what: str, *details: object) -> None:
    """Log what failed, the exception's type and where it was raised.

    The exception's text may quote a query or an item, so only DEBUG logs it. Type and traceback are
    enough to find the bug.

    Args:
        logger: The logger.
        error: The exception.
        what: What failed, as a format of `logging`.
        details: Arguments of the format, without content of a request.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error(f"{what}: %s at\n%s", *details, type(error).__name__, frames)
    logger.debug(f"{what}, in full", *details, exc_info=error)
