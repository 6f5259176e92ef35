"""Convert between CurationService's messages and the live catalogue's records."""

import base64
import binascii
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from base.errors import RequestError, check_count, check_range
from catalog.item_text import normalise_query
from live.indexing.curations import LiveCuration, LiveCurations
from live.log.curations import Action, CurationChange
from search.curation.curation import MAX_QUERIES, Content, Curation, QueryRules
from search.curation.json_form import to_json
from search.understanding.synonyms import SynonymRule
from search.validation import check_query
from server.convert.page_tokens import MAX_PAGE_BYTES, PageTokenError
from server.convert.rules import rules_message, rules_record
from shortlist.v1 import curation_service_pb2

MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100

_KINDS: Mapping[int, type[Content] | None] = {
    curation_service_pb2.CURATION_KIND_UNSPECIFIED: None,
    curation_service_pb2.CURATION_KIND_SYNONYMS: SynonymRule,
    curation_service_pb2.CURATION_KIND_QUERY_RULES: QueryRules,
}


def set_change(message: curation_service_pb2.SetCurationRequest, now: datetime) -> CurationChange:
    """Convert a request to a change; raise RequestError if a field is invalid."""
    request_id = message.request_id or uuid.uuid4().hex
    # A repeated request must get the same id.
    made = hashlib.blake2b(request_id.encode(), digest_size=16).hexdigest()
    curation = Curation(message.curation_id or made, _content(message))
    return CurationChange(
        request_id,
        curation.curation_id,
        Action.SET,
        now,
        to_json(curation.content),
        message.author,
        message.expected_revision if message.HasField("expected_revision") else None,
    )


def other_change(
    message: curation_service_pb2.DeleteCurationRequest | curation_service_pb2.UndoCurationRequest,
    now: datetime,
) -> CurationChange:
    """Convert a deletion or an undo to a change; raise RequestError if a field is invalid."""
    is_deletion = isinstance(message, curation_service_pb2.DeleteCurationRequest)
    return CurationChange(
        message.request_id or uuid.uuid4().hex,
        message.curation_id,
        Action.DELETE if is_deletion else Action.UNDO,
        now,
        author=message.author,
        expected_revision=(
            message.expected_revision if message.HasField("expected_revision") else None
        ),
    )


def curation_message(live: LiveCuration | None) -> curation_service_pb2.Curation | None:
    """Convert a curation to a message; None if it is deleted."""
    if live is None:
        return None
    time = Timestamp()
    time.FromDatetime(live.time)
    message = curation_service_pb2.Curation(
        curation_id=live.curation.curation_id,
        author=live.author,
        update_time=time,
        revision=live.revision,
    )
    content = live.curation.content
    if isinstance(content, SynonymRule):
        message.synonyms.line, message.synonyms.language = content.line, content.language
    else:
        message.query_rules.queries.extend(content.queries)
        message.query_rules.rules.CopyFrom(rules_message(content.rules))
    return message


def list_curations(
    message: curation_service_pb2.ListCurationsRequest,
    live: LiveCurations,
    concerning: frozenset[str] | None,
) -> curation_service_pb2.ListCurationsResponse:
    """Return one page of curations, without bundle and stages.

    Args:
        message: The request.
        live: All curations.
        concerning: The ids of the curations that concern the query of the request; None without a
            query.

    Raises:
        RequestError: a field is invalid, or the page token belongs to another list.
    """
    if message.kind not in _KINDS:
        raise RequestError("kind", f"is {message.kind}; give a value of CurationKind")
    kind = _KINDS[message.kind]
    check_range(message.page_size, "page_size", 0, None)
    first = _read_token(message)
    ids = sorted(
        curation_id
        for curation_id, each in live.by_id.items()
        if (kind is None or isinstance(each.curation.content, kind))
        and (concerning is None or curation_id in concerning)
    )
    left = [curation_id for curation_id in ids if curation_id > first]
    page = _page(left, live, min(message.page_size, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE)
    return curation_service_pb2.ListCurationsResponse(
        curations=page,
        next_page_token=_token(message, page[-1].curation_id) if len(page) < len(left) else "",
        total_size=len(ids),
    )


def listed_query(message: curation_service_pb2.ListCurationsRequest) -> str:
    """Return the normalised query of a list, or ""; raise RequestError if it is invalid."""
    if not message.query:
        return ""
    check_query(message.query, "query")
    return normalise_query(message.query)


def _page(
    ids: Sequence[str], live: LiveCurations, size: int
) -> list[curation_service_pb2.Curation]:
    """Return the messages of the first curations: at least one if there is one."""
    page: list[curation_service_pb2.Curation] = []
    count = 0
    for curation_id in ids[:size]:
        message = curation_message(live.by_id[curation_id])
        assert message is not None
        count += message.ByteSize()
        if page and count > MAX_PAGE_BYTES:
            break
        page.append(message)
    return page


def _content(message: curation_service_pb2.SetCurationRequest) -> Content:
    match message.WhichOneof("content"):
        case "synonyms":
            return SynonymRule(message.synonyms.line, message.synonyms.language)
        case "query_rules":
            rules = message.query_rules
            check_count(len(rules.queries), "query_rules.queries", 1, MAX_QUERIES)
            try:
                return QueryRules(tuple(rules.queries), rules_record(rules.rules))
            except RequestError as error:
                raise error.within("query_rules") from None
        case _:
            raise RequestError("content", "is empty; give synonyms or query_rules")


def _token(message: curation_service_pb2.ListCurationsRequest, last: str) -> str:
    """Return the token of the page after the curation with the id `last`."""
    parts = json.dumps([message.kind, message.query, last]).encode()
    return base64.urlsafe_b64encode(parts).decode("ascii")


def _read_token(message: curation_service_pb2.ListCurationsRequest) -> str:
    """Return the id of the last curation on the page before; "" for the first page."""
    if not message.page_token:
        return ""
    try:
        parts = json.loads(base64.b64decode(message.page_token, b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        raise PageTokenError from None
    match parts:
        case [int(kind), str(query), str(last)] if (kind, query) == (message.kind, message.query):
            return last
        case _:
            raise PageTokenError
