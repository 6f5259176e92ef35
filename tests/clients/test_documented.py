"""The code blocks of docs/clients.md equal code of the example programs, and they run."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients import tools
from tests.clients.conftest import Servers

TEXT = (tools.ROOT / "docs" / "clients.md").read_text("utf-8")
SHOWN = re.findall(r"<!-- (clients/\S+) -->\n```\w+\n(.*?)```", TEXT, re.S)
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.S)

# The topics that docs/clients.md must show for each language, each with a piece of its code.
TOPICS = {
    ("python", "filter"): "filters.equals(",
    ("python", "stream"): "client.stream_search(",
    ("python", "error"): "except ShortlistError",
    ("python", "mutual TLS"): "Tls(ca=",
    ("ts", "filter"): '$case: "equals"',
    ("ts", "stream"): "for await (const { phase, last, search }",
    ("ts", "error"): "ErrorInfo.decode(",
    ("ts", "mutual TLS"): "credentials.createSsl(",
    ("go", "filter"): "&pb.RangeFilter{",
    ("go", "stream"): "client.StreamSearch(",
    ("go", "error"): "*errdetails.ErrorInfo",
    ("go", "mutual TLS"): "tls.LoadX509KeyPair(",
}


@pytest.mark.parametrize("number", range(len(SHOWN)))
def test_a_block_is_the_code_of_its_example(number: int) -> None:
    path, code = SHOWN[number]
    assert code in (tools.ROOT / path).read_text("utf-8")


@pytest.mark.parametrize(("language", "topic"), TOPICS)
def test_every_language_shows_every_topic(language: str, topic: str) -> None:
    shown = [block for name, block in BLOCKS if name == language]
    assert [block for block in shown if TOPICS[language, topic] in block]


def test_a_block_is_taken_from_an_example_or_a_whole_program_of_python() -> None:
    taken = [code for _, code in SHOWN]
    for language, block in BLOCKS:
        assert block in taken or (language, block[:5]) == ("python", "from ") or language == "sh"


def python_with(text: str) -> str:
    """Return the only Python program of the page that contains a text."""
    [program] = [block for language, block in BLOCKS if language == "python" and text in block]
    return program


def test_the_program_with_deadlines_retries_and_request_ids_runs(
    servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    program = python_with("Retry(")
    program = program.replace("127.0.0.1:50051", servers.plain).replace("=0.8", "=30.0")
    values: dict[str, Any] = {}
    exec(compile(program, "clients.md", "exec"), values)
    assert values["response"].results
    exec(compile(program.replace('"usb c charger"', '""'), "clients.md", "exec"), {})
    assert capsys.readouterr().out == "INVALID_ARGUMENT INVALID_FIELD None basket-7\n"


def test_the_program_with_tls_and_a_token_runs(servers: Servers, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    files = {"ca.pem": "ca.pem", "me.pem": "client.pem", "me.key": "client.key"}
    program = python_with("Tls(ca=").replace("search.example:50051", servers.mutual)
    for name, file in files.items():
        program = program.replace(name, str(servers.certificates / file))
    program = program.replace("/run/secrets/search-token", str(token))
    values: dict[str, Any] = {}
    exec(compile(program, "clients.md", "exec"), values)
    with values["client"] as client:
        assert client.search("usb c charger", timeout_seconds=30).results


def buf_commands() -> list[list[str]]:
    [block] = [block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) if "buf curl" in block]
    words = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines()]
    return [command for command in words if command[0] == "buf"]


def test_the_buf_commands_work_in_plain_text_and_with_certificates(servers: Servers) -> None:
    plain, mutual = buf_commands()
    [price] = re.findall(r'"number": (\d+)', " ".join(plain))

    def ask(command: list[str]) -> Any:
        buf = str(Path(sys.executable).with_name("buf"))
        replaced = [
            word.replace("127.0.0.1:50051", servers.plain)
            .replace("search.example:50051", servers.mutual.replace("127.0.0.1", "localhost"))
            .replace("a-1", "Ch-10-voltix")
            for word in command[1:]
        ]
        for name, file in (("me.pem", "client.pem"), ("me.key", "client.key"), ("ca.pem",) * 2):
            full = str(servers.certificates / file)
            replaced = [full if word == name else word for word in replaced]
        done = subprocess.run(
            [buf, *replaced], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    results = ask(plain)["results"]
    assert results
    assert all(result["item"]["price"] < float(price) for result in results)
    assert ask(mutual)["item"]["itemId"] == "Ch-10-voltix"
