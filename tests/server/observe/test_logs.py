"""Log records of calls contain nothing private."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from server.interceptors.call_log import current_call, record_answer
from server.observe.log_format import JsonFormatter, TextFormatter
from shortlist.client import Client
from shortlist.v1 import search_service_pb2
from tests.server.conftest import Running
from tests.server.observe.failing_calls import QUERY, SECRETS, make_mistakes, stub
from tests.timing import eventually


class Lines(logging.Handler):
    """Keeps the JSON lines of a log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonFormatter())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def calls(self) -> list[dict[str, Any]]:
        records = map(json.loads, list(self.lines))
        return [record for record in records if record["logger"] == "server.access"]


@pytest.fixture
def client(observed: Running) -> Iterator[Client]:
    with Client(observed.address, timeout_seconds=30) as client:
        yield client


@pytest.fixture
def log() -> Iterator[Lines]:
    lines, root = Lines(), logging.getLogger()
    level = root.level
    root.addHandler(lines)
    root.setLevel(logging.INFO)
    yield lines
    root.removeHandler(lines)
    root.setLevel(level)


def test_a_record_names_what_was_understood_without_words_of_the_query(
    client: Client, log: Lines
) -> None:
    client.search("usb c chargr under 20")
    [record] = eventually(log.calls)
    assert record["understood"] == "rewrites,limits"
    assert "charg" not in str(record)


def test_every_call_leaves_one_record(client: Client, log: Lines) -> None:
    response = client.search(QUERY)
    [record] = eventually(log.calls)
    assert record.pop("time").endswith("+00:00")
    assert record.pop("milliseconds") > 0
    assert re.fullmatch("[0-9a-f]{32}", record.pop("request_id"))
    assert re.fullmatch("[0-9a-f]{32}", record.pop("trace_id"))
    assert record == {
        "level": "INFO",
        "logger": "server.access",
        "message": "call",
        "method": "shortlist.v1.SearchService/Search",
        "code": "OK",
        "peer": "127.0.0.1",
        "bundle": response.bundle_id,
    }


def test_nothing_private_is_logged_not_even_on_errors(
    observed: Running, client: Client, log: Lines
) -> None:
    assert client.search(QUERY).results
    client.retrieve(QUERY)
    client.embed([QUERY])
    client.batch_get_items(["hush-17"])
    fault = make_mistakes(observed, client)

    def all_of_them() -> list[dict[str, Any]] | None:
        # The internal fault is the last call. The call with a tiny deadline may be missing: it
        # possibly never reached the server.
        calls = log.calls()
        ended = len(calls) >= 9 and any(call["code"] == "INTERNAL" for call in calls)
        return calls if ended else None

    calls = eventually(all_of_them)
    codes = {call["code"] for call in calls}
    assert codes >= {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "INTERNAL"}
    for line in log.lines:
        assert not [secret for secret in SECRETS if secret in line]
    [internal] = [call for call in calls if call["code"] == "INTERNAL"]
    assert internal["error_id"] in fault.message
    [error] = [line for line in log.lines if '"server.interceptors.errors"' in line]
    assert internal["error_id"] in error


@pytest.mark.parametrize(
    ("given", "kept"),
    [("gateway-7/a.b:c", True), ("two words", False), ("x" * 129, False), ('"}', False)],
)
def test_a_request_s_id_is_the_callers_if_it_looks_like_one(
    observed: Running, log: Lines, given: str, kept: bool
) -> None:
    with stub(observed.address) as search:
        request = search_service_pb2.SearchRequest(query=QUERY)
        search.Search(request, timeout=30, metadata=[("x-request-id", given)])
    [record] = eventually(log.calls)
    assert (record["request_id"] == given) == kept
    assert record["request_id"]


def test_a_record_s_fields_stand_in_both_forms() -> None:
    record = logging.LogRecord("server", logging.INFO, "", 0, "two\n%s", ("lines",), None)
    record.fields = {"code": "OK", "nested": {"a": None}}
    said = json.loads(JsonFormatter().format(record))
    assert said | {"message": "two\nlines", "code": "OK", "nested": {"a": None}} == said
    assert "\n" not in JsonFormatter().format(record)
    assert TextFormatter().format(record).endswith('two\nlines: code=OK nested={"a": null}')


def test_json_lines_carry_an_exception_as_a_field() -> None:
    try:
        raise ValueError("oh")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("server", logging.DEBUG, "", 0, "in full", (), info)
    assert "ValueError: oh" in json.loads(JsonFormatter().format(record))["exception"]


@pytest.mark.parametrize(
    ("statement", "record"),
    [
        ("warnings.warn('of old')", "of old"),
        (
            "Thread(target=lost, name='reader').start()",
            "uncaught exception in a thread: thread=reader error=Lost",
        ),
        ("Unraisable()", "exception ignored: error=Lost"),
        ("lost()", "uncaught exception"),
    ],
    ids=["a warning", "a thread", "a finaliser", "the end of the process"],
)
def test_what_python_would_print_is_a_record(statement: str, record: str) -> None:
    program = (
        "import warnings\nfrom threading import Thread\n"
        "from server.observe.log_format import configure\n"
        "class Lost(Exception): pass\n"
        "def lost(): raise Lost('in the dark')\n"
        "class Unraisable:\n def __del__(self): lost()\n"
        f"configure('json')\n{statement}\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True)
    [line] = ran.stderr.splitlines()
    assert record in json.loads(line)["message"]
    assert ran.returncode == (statement == "lost()")


def test_answers_outside_of_a_call_are_not_recorded() -> None:
    from search.result import SearchResult

    record_answer(SearchResult((), (), 0, 0), "b")
    assert current_call() is None
