"""The one exception for bad input from a person."""


class InputError(Exception):
    """A file, row, field or flag from a person cannot be used.

    The message names it and says what to do. Command lines print the message and exit with code 2;
    any other exception that reaches them is a bug.
    """
