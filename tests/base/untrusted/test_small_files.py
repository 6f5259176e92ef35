import json
import os
from pathlib import Path

import pytest

from base.errors import InputError
from base.untrusted.small_files import read_bytes, read_object


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def test_a_file_is_read_up_to_the_limit(path):
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match="it has 5 bytes, and at most 4 are read"):
        read_bytes(path, 4)


def test_a_huge_file_and_a_pipe_are_refused_without_reading_them(path):
    with path.open("wb") as file:
        file.truncate(2**40)  # a sparse file of one TiB
    with pytest.raises(ValueError, match="it has 1,099,511,627,776 bytes"):
        read_bytes(path, 4)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="it is not a regular file"):
        read_bytes(path, 4)


def test_an_object_is_read(path):
    path.write_text(json.dumps({"größe": [1, None]}), encoding="utf-8")
    assert read_object(path) == {"größe": [1, None]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: .*No such file"),
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\xfe{", "cannot be read"),
        (b"[" * 100_000, "cannot be read: maximum recursion depth exceeded"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "cannot be read: Exceeds the limit"),
        (b"[1]", "holds no JSON object"),
        (b" " * (4 * 2**20 + 1), "cannot be read: it has 4,194,305 bytes"),
    ],
)
def test_what_is_no_small_object_is_refused_in_one_line(path, content, message):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refused:
        read_object(path)
    assert str(refused.value).startswith(f"{path} ")
    assert "\n" not in str(refused.value)
