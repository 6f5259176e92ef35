"""Logging of unexpected exceptions."""

import logging
import traceback


def log_error(logger: logging.Logger, error: BaseException, what: str, **details: object) -> None:
    """Log what failed, the type of the exception, and where it was raised.

    The exception's text may quote a query or an item, so it is logged only at DEBUG. The type and
    the traceback are enough to find the bug.

    Args:
        logger: The logger.
        error: The exception.
        what: What failed.
        details: Data to log as key=value; they must not quote a request.
    """
    details = {**details, "error": type(error).__name__}
    pairs = " ".join(f"{name}={value}" for name, value in details.items())
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s at\n%s", what, pairs, frames)
    logger.debug("%s, in full: %s", what, pairs, exc_info=error)
