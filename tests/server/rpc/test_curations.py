"""CurationService of a running server: live effect, undo, lists, roles, and restarts."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from server.config import ServerConfig
from shortlist import filters
from shortlist.aio import AsyncClient
from shortlist.client import Client, Options, ShortlistError
from shortlist.requests import query_rules, synonyms
from shortlist.rules import rules
from shortlist.v1 import curation_service_pb2 as pb
from shortlist.v1 import curation_service_pb2_grpc, rules_pb2
from shortlist.v1.understanding_pb2 import Understanding
from tests.server.auth.token_files import line, write
from tests.server.conftest import Running

Serving = Callable[..., AbstractContextManager[Running]]
SECONDS = 30
LAST = "Ca-5-voltix"  # an item that no query for chargers has first
PINNED = query_rules(["USB charger"], rules(pins={LAST: 1}))


@pytest.fixture
def live_config(config: ServerConfig, tmp_path: Path) -> ServerConfig:
    return replace(config, state=tmp_path / "state")


@pytest.fixture
def running(live_config: ServerConfig, serving: Serving) -> Iterator[Running]:
    with serving(live_config) as running:
        yield running


@pytest.fixture
def shop(running: Running) -> Iterator[Client]:
    with Client(running.address, timeout_seconds=SECONDS) as client:
        yield client


def first(client: Client, query: str) -> str:
    return client.search(query).results[0].item_id


def ids(response: pb.ListCurationsResponse) -> list[str]:
    return [curation.curation_id for curation in response.curations]


def refused(call: Callable[[], object]) -> ShortlistError:
    with pytest.raises(ShortlistError) as error:
        call()
    return error.value


def test_the_next_search_uses_what_was_set(shop: Client) -> None:
    answer = shop.set_curation(synonyms("plug, charger"), "s", author="Ann")
    assert (answer.sequence, answer.repeated) == (1, False)
    curation = answer.curation
    assert (curation.curation_id, curation.author, curation.revision) == ("s", "Ann", 1)
    assert curation.synonyms == synonyms("plug, charger")
    age = datetime.now(UTC) - curation.update_time.ToDatetime(UTC)
    assert timedelta(0) <= age < timedelta(seconds=SECONDS)
    [found] = shop.search("plug").interpretation.synonyms
    assert (found.words, found.alternative, found.curation_id) == ("plug", "charger", "s")

    shop.set_curation(PINNED, "p")
    response = shop.search("ｕｓｂ  CHARGER")
    assert response.results[0].item_id == LAST
    assert response.interpretation.curation_id == "p"
    [adjustment] = response.results[0].adjustments
    assert (adjustment.rule, adjustment.curation_id, adjustment.pinned_position) == (
        "pins[0]",
        "p",
        1,
    )
    [report] = [report for report in response.rules if report.curation_id]
    assert (report.rule, report.curation_id, report.affected_count) == ("pins[0]", "p", 1)
    off = Understanding(no_curated_rules=True)
    assert shop.search("usb charger", understanding=off).results[0].item_id != LAST
    both = shop.search("usb charger", rules=rules(pins={"Ch-5-ampere": 1}))
    assert both.results[0].item_id == "Ch-5-ampere"
    problems = [report.pin_problem for report in both.rules if report.rule == "pins[0]"]
    assert problems == [rules_pb2.PIN_PROBLEM_UNSPECIFIED, rules_pb2.PIN_PROBLEM_REPLACED]


def test_deletions_and_undos_are_in_effect_at_once(shop: Client) -> None:
    usual = first(shop, "usb charger")
    made = shop.set_curation(PINNED).curation.curation_id
    assert len(made) == 32
    assert first(shop, "usb charger") == LAST
    assert shop.delete_curation(made, expected_revision=1).sequence == 2
    assert first(shop, "usb charger") == usual
    undone = shop.undo_curation(made, author="Bob")
    assert (undone.sequence, undone.curation.author, undone.curation.revision) == (3, "Bob", 3)
    assert undone.curation.query_rules == PINNED
    assert first(shop, "usb charger") == LAST
    error = refused(lambda: shop.undo_curation(made))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "NOTHING_TO_UNDO")
    shop.delete_curation(made)
    shop.set_curation(PINNED, made)
    assert not shop.undo_curation(made).HasField("curation")  # it is deleted again
    assert first(shop, "usb charger") == usual


def test_curations_survive_a_restart(live_config: ServerConfig, serving: Serving) -> None:
    everything = rules(
        exclude=filters.any_of(filters.equals("brand", "Ohm"), filters.exists("attributes.x")),
        boosts=[(filters.between("price", below=9.5), -1.5)],
        diversity=0.2,
        caps={"brand": 3},
        pins={LAST: 2},
    )
    with serving(live_config) as running, Client(running.address) as client:
        client.set_curation(synonyms("plug, charger", "en-GB"), "s", author="Ann")
        client.set_curation(query_rules(["a", "b"], everything), "r", author="Bob")
        client.set_curation(PINNED, "p")
        client.delete_curation("p")
        before = client.list_curations()
    with serving(live_config) as running, Client(running.address) as client:
        after = client.list_curations()
        assert list(after.curations) == list(before.curations)
        assert after.curations[0].query_rules.rules == everything
        assert client.undo_curation("p").curation.query_rules == PINNED
        assert first(client, "usb charger") == LAST


def test_a_repeated_change_changes_nothing(running: Running, shop: Client) -> None:
    with grpc.insecure_channel(running.address) as channel:
        stub = curation_service_pb2_grpc.CurationServiceStub(channel)
        requested = pb.SetCurationRequest(request_id="r", synonyms=synonyms("a, b"))
        made = stub.SetCuration(requested)
        again = stub.SetCuration(requested)
        assert (again.sequence, again.repeated) == (made.sequence, True)
        assert again.curation == made.curation
        undo = pb.UndoCurationRequest(request_id="u", curation_id="c")
        for line in ("a, b", "c, d", "e, f"):
            shop.set_curation(synonyms(line), "c")
        assert stub.UndoCuration(undo).curation.synonyms.line == "c, d"
        repeated = stub.UndoCuration(undo)
        assert (repeated.repeated, repeated.curation.synonyms.line) == (True, "c, d")
        deletion = pb.DeleteCurationRequest(request_id="d", curation_id="c")
        assert not stub.DeleteCuration(deletion).repeated
        assert stub.DeleteCuration(deletion).repeated
        with pytest.raises(grpc.RpcError, match="request_id: was used for another write"):
            stub.SetCuration(pb.SetCurationRequest(request_id="d", synonyms=synonyms("a, b")))


def test_an_unexpected_revision_is_named(shop: Client) -> None:
    shop.set_curation(synonyms("a, b"), "c", expected_revision=0)
    error = refused(lambda: shop.set_curation(synonyms("a, b, c"), "c", expected_revision=0))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "REVISION_MISMATCH")
    assert "has revision 1" in error.message
    shop.set_curation(synonyms("a, b, c"), "c", expected_revision=1)


@pytest.mark.parametrize("method", ["delete_curation", "undo_curation"])
def test_an_unknown_curation_is_named(shop: Client, method: str) -> None:
    error = refused(lambda: getattr(shop, method)("nobody"))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_CURATION")
    assert "'nobody'" in error.message


def test_a_refused_change_writes_nothing(shop: Client) -> None:
    shop.set_curation(PINNED, "p")
    for content, field in (
        (synonyms("plug"), "synonyms.line"),
        (synonyms("plug, charger", "e n"), "synonyms.language"),
        (query_rules([]), "query_rules.queries"),
        (query_rules(["x"], rules(pins={"a": 99})), "query_rules.rules.pins[0].position"),
        (query_rules(["usb CHARGER"]), "query_rules.queries"),
        (query_rules(["x"], rules(caps={"title": 1})), "query_rules.rules.caps[0].field"),
    ):
        error = refused(lambda content=content: shop.set_curation(content, "c"))
        assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert [violation.field for violation in error.field_violations] == [field]
    assert ids(shop.list_curations()) == ["p"]
    assert shop.set_curation(synonyms("a, b")).sequence == 2


def test_a_change_without_content_is_refused(running: Running) -> None:
    with grpc.insecure_channel(running.address) as channel:
        stub = curation_service_pb2_grpc.CurationServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="content: is empty; give synonyms or query_rules"):
            stub.SetCuration(pb.SetCurationRequest(curation_id="c"))
        with pytest.raises(grpc.RpcError, match="curation_id: has 0 characters"):
            stub.DeleteCuration(pb.DeleteCurationRequest())


def test_lists_are_paged_and_filtered(shop: Client) -> None:
    for number in (3, 1, 2):
        shop.set_curation(query_rules([f"query {number}"]), f"r{number}")
        shop.set_curation(
            synonyms(f"word{number}, other", "de" if number == 2 else ""), f"s{number}"
        )
    whole = shop.list_curations()
    assert ids(whole) == ["r1", "r2", "r3", "s1", "s2", "s3"]
    assert (whole.total_size, whole.next_page_token) == (6, "")
    assert whole.bundle_id == shop.search("charger").bundle_id
    assert [(stage.name, stage.candidate_count) for stage in whole.stages] == [("list", 6)]

    page = shop.list_curations(page_size=4)
    assert (ids(page), page.total_size) == (["r1", "r2", "r3", "s1"], 6)
    shop.delete_curation("s1")  # the id of the token need not exist
    rest = shop.list_curations(page_size=4, page_token=page.next_page_token)
    assert (ids(rest), rest.next_page_token) == (["s2", "s3"], "")

    of_kind = shop.list_curations(kind=pb.CURATION_KIND_SYNONYMS, page_size=1)
    assert (ids(of_kind), of_kind.total_size) == (["s2"], 2)
    assert ids(shop.list_curations(query="Query 2")) == ["r2"]
    assert ids(shop.list_curations(query="a WORD2 for others")) == ["s2"]
    for fields in ({"query": "word2"}, {"kind": pb.CURATION_KIND_QUERY_RULES}, {}):
        token = of_kind.next_page_token
        error = refused(lambda f=fields, t=token: shop.list_curations(page_token=t, **f))
        assert error.reason == "PAGE_TOKEN_MISMATCH"
    for token in ("x", "e30=", "W10="):
        error = refused(lambda t=token: shop.list_curations(page_token=t))
        assert error.reason == "PAGE_TOKEN_MISMATCH"
    assert (
        refused(lambda: shop.list_curations(page_size=-1)).field_violations[0].field == "page_size"
    )
    assert refused(lambda: shop.list_curations(query=" ")).field_violations[0].field == "query"
    unknown = refused(lambda: shop.list_curations(kind=7))  # type: ignore[arg-type]
    assert unknown.message == "kind: is 7; give a value of CurationKind"


def test_a_page_of_large_curations_is_short(shop: Client) -> None:
    many = rules(exclude=[f"{number:060d}" for number in range(900)])
    for number in range(40):
        shop.set_curation(query_rules([f"query {number}"], many), f"c{number:02}")
    page = shop.list_curations()
    assert 1 < len(page.curations) < page.total_size == 40
    assert page.ByteSize() < 2.1 * 2**20
    rest = shop.list_curations(page_token=page.next_page_token)
    assert ids(page) + ids(rest) == [f"c{number:02}" for number in range(40)]


def test_reading_and_changing_need_different_roles(
    live_config: ServerConfig, serving: Serving, tmp_path: Path
) -> None:
    tokens = write(tmp_path / "tokens", line("read", "r"), line("write", "w"))
    in_clear = Options(token_in_clear=True)
    with (
        serving(replace(live_config, tokens=tokens)) as running,
        Client(running.address, token="r", options=in_clear) as reader,
        Client(running.address, token="w", options=in_clear) as writer,
    ):
        writer.set_curation(PINNED, "p")
        assert ids(reader.list_curations()) == ["p"]
        for call in (
            lambda: reader.set_curation(PINNED, "p"),
            lambda: reader.delete_curation("p"),
            lambda: reader.undo_curation("p"),
            writer.list_curations,
        ):
            assert refused(call).reason == "ROLE_MISSING"


def test_a_server_without_a_state_is_read_only(client: Client) -> None:
    for call in (
        client.list_curations,
        lambda: client.set_curation(PINNED),
        lambda: client.delete_curation("c"),
        lambda: client.undo_curation("c"),
    ):
        error = refused(call)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "READ_ONLY")


def test_the_client_for_asyncio_has_the_same_methods(running: Running) -> None:
    async def scenario() -> None:
        async with AsyncClient(running.address) as client:
            await client.set_curation(PINNED, "p", author="Ann")
            await client.delete_curation("p")
            assert (await client.undo_curation("p")).curation.author == ""
            assert ids(await client.list_curations(query="usb charger")) == ["p"]

    asyncio.run(scenario())
