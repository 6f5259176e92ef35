"""Logging of unexpected exceptions."""

import logging
import traceback


def log_error(logger: logging.Logger, error: BaseException, what: str, *details: object) -> None:
    """Log what failed, the type of the exception, and where it was raised.

    The exception's text may quote a query or an item, so it is logged only at DEBUG. The type and
    the traceback are enough to find the bug.

    Args:
        logger: The logger.
        error: The exception.
        what: What failed, as a format string of `logging`.
        details: Arguments of the format string; they must not quote a request.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error(f"{what}: %s at\n%s", *details, type(error).__name__, frames)
    logger.debug(f"{what}, in full", *details, exc_info=error)
