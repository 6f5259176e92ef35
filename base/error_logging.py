"""What the log says of an exception that nobody expected."""

import logging
import traceback


def log_error(logger: logging.Logger, error: BaseException, what: str, *details: object) -> None:
    """Log what failed, of which type the exception is and where it was raised.

    Its own text may quote a query or an item, so it is for DEBUG alone; where it was raised says
    enough to find the fault.

    Args:
        logger: Where to.
        error: The exception.
        what: Failed, as a format of `logging`.
        details: What goes into it: nothing of a request.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    logger.error(f"{what}: %s at\n%s", *details, type(error).__name__, frames)
    logger.debug(f"{what}, in full", *details, exc_info=error)
