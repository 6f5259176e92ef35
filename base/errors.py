"""The one exception that stands for bad input from a person."""


class InputError(Exception):
    """What a person gave cannot be used.

    The message names the file, row, field or flag at fault and says what to do about it. Command
    lines print it and exit with code 2; everything else that escapes is a bug.
    """
