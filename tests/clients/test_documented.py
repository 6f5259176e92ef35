"""docs/clients.md shows what the examples have, and its commands do what they say."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients import tools
from tests.clients.conftest import Shop

TEXT = (tools.ROOT / "docs" / "clients.md").read_text("utf-8")
SHOWN = re.findall(r"<!-- (clients/\S+) -->\n```\w+\n(.*?)```", TEXT, re.S)


@pytest.mark.parametrize("place", range(len(SHOWN)))
def test_what_is_shown_is_what_the_example_has(place: int) -> None:
    path, code = SHOWN[place]
    assert code in (tools.ROOT / path).read_text("utf-8")


def test_every_language_is_shown() -> None:
    assert {Path(path).suffix for path, _ in SHOWN} == {".py", ".ts", ".go"}


def test_a_python_block_is_whole_or_taken_from_an_example() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    taken = [code for _, code in SHOWN]
    for block in blocks:
        assert block in taken or block.startswith("from ")


def test_deadlines_retries_and_names_are_as_shown(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    [program] = [
        block for block in re.findall(r"```python\n(.*?)```", TEXT, re.S) if "Retry(" in block
    ]
    program = program.replace("127.0.0.1:50051", shop.plain).replace("=0.8", "=30.0")
    values: dict[str, Any] = {}
    exec(compile(program, "clients.md", "exec"), values)
    assert values["response"].results
    exec(compile(program.replace('"usb c charger"', '""'), "clients.md", "exec"), {})
    assert capsys.readouterr().out == "INVALID_ARGUMENT INVALID_FIELD None basket-7\n"


def buf_commands() -> list[list[str]]:
    [block] = [block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) if "buf curl" in block]
    words = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]
    return [command for command in words if command[0] == "buf"]


def test_buf_curl_asks_in_plain_text_and_with_certificates(shop: Shop) -> None:
    plain, mutual = buf_commands()
    [price] = re.findall(r'"number": (\d+)', " ".join(plain))

    def ask(command: list[str]) -> Any:
        buf = str(Path(sys.executable).with_name("buf"))
        replaced = [
            word.replace("127.0.0.1:50051", shop.plain)
            .replace("search.example:50051", shop.mutual.replace("127.0.0.1", "localhost"))
            .replace("a-1", "Ch-10-voltix")
            for word in command[1:]
        ]
        for given, file in (("me.pem", "client.pem"), ("me.key", "client.key"), ("ca.pem",) * 2):
            full = str(shop.certificates / file)
            replaced = [full if word == given else word for word in replaced]
        done = subprocess.run(
            [buf, *replaced], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    results = ask(plain)["results"]
    assert results
    assert all(result["item"]["price"] < float(price) for result in results)
    assert ask(mutual)["item"]["itemId"] == "Ch-10-voltix"
