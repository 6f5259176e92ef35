"""The exception for invalid input from a user."""


class InputError(Exception):
    """A file, row, field or flag from a user cannot be used.

    The message names this input and says what to do. Commands print the message and exit with code
    2. Any other exception that ends a command is a bug.
    """
