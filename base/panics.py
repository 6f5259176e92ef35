"""Panics of native libraries, such as tantivy and tokenizers, as exceptions.

A panic in Rust becomes pyo3's `PanicException`, which is not an `Exception`. Handlers of errors
would not catch it: threads would end, and calls would never be answered.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class NativePanicError(RuntimeError):
    """A native library panicked. Its data may be damaged, but the process can continue."""


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Raise a panic inside the block as NativePanicError."""
    try:
        yield
    except BaseException as error:
        # The class is made anew by every native library, so only its name can be compared.
        if type(error).__name__ == "PanicException":
            panic = NativePanicError(f"a native library panicked: {error}")
            raise panic.with_traceback(error.__traceback__) from error  # the log shows its frames
        raise
