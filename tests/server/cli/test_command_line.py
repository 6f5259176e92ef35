"""`python -m server` and its commands: output and exit codes."""

import hashlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from server.__main__ import main
from server.config import ServerConfig
from server.rpc.services import Port, contract_services
from shortlist.client import Client

Flags = tuple[str, ...]


@pytest.fixture
def flags(config: ServerConfig) -> Flags:
    """The flags of a server process with the tiny bundle on a free port."""
    cache = str(config.compilation_cache)
    return ("--bundle", str(config.bundle), "--port", "0", "--compilation-cache", cache)


@contextmanager
def server_process(
    *arguments: str, environment: Mapping[str, str] = os.environ
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process of a server and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", line)
        assert found, (line, process.stderr and process.stderr.read())
        yield process, found[1]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_second_start_compiles_nothing(flags: Flags, tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        with server_process(*flags[:-1], str(tmp_path / "xla")) as (process, _):
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
            found = re.search(
                r"INFO server.service programs: compiled=(\d+) read_from_cache=(\d+)\n", err
            )
            assert found, err
            said.append(tuple(map(int, found.groups())))
    (compiled, read), (compiled_again, read_again) = said
    assert compiled > 0
    assert compiled_again == 0
    # The second start may read fewer programs, because it need not measure product rates again.
    assert 0 < read_again <= compiled + read


def test_it_serves_until_it_is_told_to_stop(flags: Flags) -> None:
    with server_process(*flags) as (process, address):
        with Client(address, timeout_seconds=30) as client:
            assert client.search("a private wish").results
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert out == ""
        assert "private" not in err
        assert "Traceback" not in err


def test_a_second_signal_stops_it_at_once(flags: Flags) -> None:
    with server_process(*flags, "--drain-seconds", "600") as (process, _):
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        while "stopping" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130
        assert err == ""


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run an invalid command line; return its error, which must be one line with exit code 2."""
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_missing_bundle_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nothing-here"
    assert str(missing) in complaint(capsys, "--bundle", missing, "--port", "0")


def test_a_directory_that_is_no_bundle_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert str(tmp_path) in complaint(capsys, "--bundle", tmp_path, "--port", "0")


def test_a_port_in_use_is_named(
    tiny_bundle: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    port = address.rpartition(":")[2]
    said = complaint(capsys, "--bundle", tiny_bundle, "--port", port)
    assert port in said
    assert "in use" in said


def test_a_port_that_another_program_listens_on_is_in_use(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert "in use" in complaint(capsys, "--bundle", tiny_bundle, "--port", port)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tls-cert", "c.pem"), "--tls-key"),
        (("--tls-key", "k.pem"), "--tls-cert"),
        (("--client-ca", "ca.pem"), "--tls-cert"),
        (("--tls-cert", "no-such.pem", "--tls-key", "no-such.key"), "no-such.pem"),
        (("--port", "65536"), "--port"),
        (("--port", "-1"), "--port"),
        (("--queue-size", "0"), "--queue-size"),
        (("--grace-seconds", "nan"), "--grace-seconds"),
        (("--host", "no-such-host.invalid"), "no-such-host.invalid"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_flags_that_cannot_be_used_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    assert said in complaint(capsys, "--bundle", tmp_path, *flags)


def test_a_tls_file_that_is_no_pem_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = tmp_path / "noise.pem"
    noise.write_bytes(os.urandom(100))
    said = complaint(capsys, "--bundle", tmp_path, "--tls-cert", noise, "--tls-key", noise)
    assert str(noise) in said


def test_unknown_flags_exit_with_two() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--no-such-flag"])
    assert ended.value.code == 2


@pytest.mark.parametrize("form", ["text", "json"])
def test_settings_their_sources_and_each_call_are_logged(flags: Flags, form: str) -> None:
    with server_process(*flags, "--log-format", form) as (process, address):
        with Client(address, timeout_seconds=30) as client:
            assert client.search("a private wish").results
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert "private" not in err
    if form == "text":
        pair = r' [\w.]+=([^\s"]+|".*?")'  # one name=value pair
        assert re.search(rf"INFO server settings: bundle=\S+ state=null({pair}){{30,}}\n", err)
        given = r"bundle=--bundle port=--port compilation_cache=--compilation-cache"
        assert re.search(rf"INFO server setting sources: {given} log_format=--log-format\n", err)
        assert re.search(r"INFO server.access call: method=shortlist.v1.SearchService/Search", err)
        return
    records = [json.loads(line) for line in err.splitlines()]
    [settings] = [record for record in records if record["message"] == "settings"]
    [sources] = [record for record in records if record["message"] == "setting sources"]
    assert settings["log_format"] == "json"
    assert settings["engine.recall_depth"] == 200
    assert sources["log_format"] == "--log-format"
    [call] = [record for record in records if record["logger"] == "server.access"]
    assert call["code"] == "OK"


def test_json_logs_are_json_where_a_handshake_fails(flags: Flags, certificates: Path) -> None:
    tls = ("--tls-cert", f"{certificates}/server.pem", "--tls-key", f"{certificates}/server.key")
    with server_process(*flags, *tls, "--log-format", "json") as (process, address):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as plain:
            plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
            # The call returns when the server has refused the connection.
            plain.recv(100)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert {"settings", "stopping"} <= {json.loads(line)["message"] for line in err.splitlines()}


def test_json_logs_are_json_where_metrics_clients_break_off(flags: Flags) -> None:
    options = ("--metrics-port", "0", "--log-format", "json")
    with server_process(*flags, *options) as (process, _):
        assert process.stderr is not None
        lines = []
        while not (lines and json.loads(lines[-1]).get("service") == "metrics"):
            lines.append(process.stderr.readline())
        port = json.loads(lines[-1])["port"]
        for sent in (b"GET /metrics HTTP/1.1\r\nHost:", b"GET /metrics HTTP/1.0\r\n\r\n"):
            for _ in range(10):
                with socket.create_connection(("127.0.0.1", port), timeout=30) as half:
                    half.sendall(sent)
                    half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert "stopping" in {json.loads(line)["message"] for line in err.splitlines()}


def test_json_logs_are_json_where_xla_complains(flags: Flags, tmp_path: Path) -> None:
    # XLA cannot create this directory.
    complaining = {**os.environ, "XLA_FLAGS": "--xla_dump_to=/proc/none"}
    complaining.pop("TF_CPP_MIN_LOG_LEVEL", None)  # JAX sets it in the process of the tests
    with server_process(*flags, "--log-format", "json", environment=complaining) as (process, _):
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    assert "stopping" in {json.loads(line)["message"] for line in err.splitlines()}


def test_a_failed_start_is_a_record_of_json_logs(tmp_path: Path) -> None:
    flags = ("--bundle", str(tmp_path), "--compilation-cache", "none", "--log-format", "json")
    ran = subprocess.run(
        [sys.executable, "-m", "server", "--port", "0", *flags],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *_, last = [json.loads(line) for line in ran.stderr.splitlines()]
    assert (ran.returncode, last["level"]) == (2, "ERROR")
    assert last["message"].startswith(f"{tmp_path} has no manifest.json")


# ---- health


def test_a_server_that_serves_is_healthy(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--address", address]) == 0
    assert (
        main(["health", "--address", address, "--service", contract_services(Port.PUBLIC)[0]]) == 0
    )
    assert capsys.readouterr().out == "SERVING\nSERVING\n"


def test_unknown_services_and_missing_servers_are_not_healthy(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["health", "--address", address, "--service", "no.such.Service"]) == 1
    assert "NOT_FOUND" in capsys.readouterr().out
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    assert main(["health", "--address", nobody]) == 1
    assert "UNAVAILABLE" in capsys.readouterr().out


def test_a_missing_tls_file_of_the_health_command_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "no-such.pem" in complaint(capsys, "health", "--tls-ca", "no-such.pem")


# ---- search


def test_the_terminal_client_prints_a_table(
    address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["search", "usb c charger", "--address", address, "--page-size", "3"]) == 0
    printed = capsys.readouterr().out
    with Client(address) as client:
        results = client.search("usb c charger", page_size=3).results
    for column in ("#", "score", "title", "brand", "price", "dense", "lexical", "rerank"):
        assert column in printed
    for result in results:
        assert result.item.title in printed
        assert f"{result.score:.3f}" in printed
    assert "recalled" in printed
    assert main(["search", "usb c charger", "--address", address, "--order-by", "price desc"]) == 0
    assert "110.00" in capsys.readouterr().out.splitlines()[3]


def test_the_terminal_client_reaches_a_server_with_tls_and_tokens(
    config: ServerConfig,
    certificates: Path,
    serving: Callable[[ServerConfig], AbstractContextManager[Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tokens, token = tmp_path / "tokens", tmp_path / "token"
    tokens.write_text(f"read: {hashlib.sha256(b'open-sesame').hexdigest()}\n")
    tokens.chmod(0o600)
    token.write_text("open-sesame\n")
    tls = {"tls_cert": certificates / "server.pem", "tls_key": certificates / "server.key"}
    ask = ("search", "usb c charger", "--token-file", str(token))
    with serving(replace(config, tokens=tokens, **tls)) as running:
        secure = (*ask, "--address", running.address, "--tls-ca", f"{certificates}/ca.pem")
        assert main([*secure, "--tls-name", "localhost"]) == 0
        assert main([*secure, "--tls-name", "other"]) == 1
        assert "UNAVAILABLE" in capsys.readouterr().err
    with serving(replace(config, tokens=tokens)) as running:
        assert main([*ask, "--address", running.address]) == 0
        assert main(["search", "usb", "--address", running.address]) == 1
        assert "UNAUTHENTICATED" in capsys.readouterr().err
    assert main([*ask, "--address", "search.example:50051"]) == 2
    assert "without TLS" in capsys.readouterr().err


def test_titles_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    from server.cli.search import results_table
    from shortlist.v1.item_pb2 import Item
    from shortlist.v1.search_service_pb2 import SearchResponse, SearchResult

    item = Item(item_id="a", title="[bold]Cable[/] [red]")
    response = SearchResponse(results=[SearchResult(item=item, rank=1, score=0.5)])
    Console(width=120).print(results_table(response))
    assert "[bold]Cable[/] [red]" in capsys.readouterr().out


def test_the_relevance_and_a_search_that_no_item_fits_are_printed() -> None:
    from server.cli.search import results_table, summary
    from shortlist.v1.coverage_pb2 import Coverage
    from shortlist.v1.search_service_pb2 import SearchResponse, SearchResult

    results = [SearchResult(rank=1, relevance=0.754), SearchResult(rank=2)]
    response = SearchResponse(results=results, relevant_count=3)
    assert list(results_table(response).columns[-1].cells) == ["0.75", ""]
    assert "about 3 relevant" in summary(response)
    response.coverage.CopyFrom(Coverage(nothing_fits=True))
    assert "nothing fits" in summary(response)
    assert "relevant" not in summary(SearchResponse())


def test_the_summary_says_that_results_are_guesses() -> None:
    from server.cli.search import summary
    from shortlist.v1.search_service_pb2 import SearchResponse, SearchResult

    assert "no item has the code" in summary(SearchResponse(results=[SearchResult(guessed=True)]))


def test_a_refused_search_exits_with_one(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", " ", "--address", address]) == 1
    assert "INVALID_ARGUMENT: query" in capsys.readouterr().err


def test_searching_where_no_server_is_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    assert main(["search", "usb", "--address", address]) == 1
    assert "UNAVAILABLE" in capsys.readouterr().err


def test_half_given_client_certificates_exit_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cert" in complaint(capsys, "search", "usb", "--tls-cert", "c.pem")
