import traceback

import pytest

from base.panics import NativePanicError, panics_as_errors


class PanicException(BaseException):
    """Stands for the class of a native library, which cannot be imported."""


def test_a_panic_is_raised_as_an_error():
    expected = pytest.raises(NativePanicError, match="native library panicked: out of bounds")
    with expected, panics_as_errors():
        raise PanicException("out of bounds")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_other_exceptions_pass_unchanged(error):
    with pytest.raises(error), panics_as_errors():
        raise error


def test_the_traceback_names_the_function_that_panicked():
    def fails():
        raise PanicException("out of bounds")

    with pytest.raises(NativePanicError) as caught, panics_as_errors():
        fails()
    assert "in fails" in "".join(traceback.format_tb(caught.value.__traceback__))
