import pytest

from base.untrusted.thrift import read_struct

# Field 1 is the whole number 2, field 2 is -3, field 4 is a struct with the flag 1, field 5 is the
# text "ab", and field 20 is the number 1.0.
STRUCT = (
    bytes([0x15, 4, 0x15, 5, 0x2C, 0x11, 0, 0x18, 2]) + b"ab" + bytes([7, 40]) + bytes(8) + b"\0"
)


def test_a_struct_is_read_from_its_position_on():
    fields, after = read_struct(b"\xff" + STRUCT + b"\xff", 1)
    assert fields == {1: 2, 2: -3, 4: {1: True}, 5: None, 20: None}
    assert after == 1 + len(STRUCT)


def test_a_number_may_have_more_bytes_than_it_needs():
    assert read_struct(bytes([0x15, 0x84, 0x80, 0, 0]), 0) == ({1: 2}, 5)


@pytest.mark.parametrize("size", range(len(STRUCT)))
def test_a_struct_that_ends_too_early_is_refused(size):
    with pytest.raises(IndexError):
        read_struct(STRUCT[:size], 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bytes([0x15, 4, 0x05, 2, 4, 0]), "repeats a field"),
        (bytes([0x15]) + b"\xff" * 10 + b"\0\0", "more than 64 bits"),
        (bytes([0x1A, 0x05, 0]), "a field of the type 10"),
    ],
)
def test_what_another_reader_may_read_otherwise_is_refused(content, message):
    with pytest.raises(ValueError, match=message):
        read_struct(content, 0)


def test_too_many_levels_are_refused():
    with pytest.raises(RecursionError):
        read_struct(b"\x1c" * 100_000, 0)


def test_lists_are_read():
    long = [0x19, 0xF5, 16, *range(0, 32, 2), 0]
    assert read_struct(bytes(long), 0) == ({1: list(range(16))}, len(long))
    assert read_struct(bytes([0x19, 0x21, 1, 0, 0]), 0)[0] == {1: [1, 0]}
