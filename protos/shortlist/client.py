"""The Python client: `with Client("127.0.0.1:50051") as client: client.search("usb c charger")`.

It imports nothing but grpc and protobuf, so a caller can install it without the models. Answers
are the contract's own messages (`shortlist.v1`), which are typed.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from shortlist.v1 import (
    catalog_service_pb2,
    catalog_service_pb2_grpc,
    channel_pb2,
    facet_pb2,
    filter_pb2,
    item_pb2,
    rerank_service_pb2,
    rerank_service_pb2_grpc,
    retrieval_service_pb2,
    retrieval_service_pb2_grpc,
    rules_pb2,
    search_service_pb2,
    search_service_pb2_grpc,
)

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

# Only UNAVAILABLE is tried again: the call was not begun, and another server may answer it. An
# overloaded server (RESOURCE_EXHAUSTED) says itself how long to wait: ShortlistError.retry_seconds.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_CHANNEL_OPTIONS = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", 64 * 2**20),
]


@dataclass(frozen=True)
class Tls:
    """How to speak TLS; `Tls()` trusts what the system trusts."""

    ca: Path | None = None  # PEM file of the authorities that may have signed the server
    cert: Path | None = None  # PEM chain to show the server (mutual TLS)
    key: Path | None = None  # PEM private key of `cert`

    def credentials(self) -> grpc.ChannelCredentials:
        """Returns the credentials; raises OSError when a file cannot be read."""
        if (self.cert is None) != (self.key is None):
            raise ValueError("Tls.cert and Tls.key go together: give both or neither")
        ca, key, cert = (
            path.read_bytes() if path else None for path in (self.ca, self.key, self.cert)
        )
        return grpc.ssl_channel_credentials(ca, key, cert)


@dataclass(frozen=True)
class FieldViolation:
    """One field of a request that broke a rule."""

    field: str  # path, such as "candidates[3].item.title"
    problem: str


class ShortlistError(Exception):
    """A call that failed. Its cause is the grpc.RpcError it was made from.

    Attributes:
        code: The canonical gRPC code.
        message: What the server said.
        reason: One of shortlist.v1.ErrorReason without its prefix, "" when gRPC itself failed.
        field_violations: The fields at fault, for INVALID_ARGUMENT.
        resources: The ids that the server does not have, for NOT_FOUND.
        retry_seconds: How long the server asks to wait, for RESOURCE_EXHAUSTED.
    """

    def __init__(self, error: grpc.Call) -> None:
        self.code: grpc.StatusCode = error.code()
        self.message: str = error.details() or ""
        self.reason: str = ""
        self.field_violations: tuple[FieldViolation, ...] = ()
        self.resources: tuple[str, ...] = ()
        self.retry_seconds: float | None = None
        self._read_details(error)
        super().__init__(f"{self.code.name}: {self.message}")

    def _read_details(self, error: grpc.Call) -> None:
        status = rpc_status.from_call(error)
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        resource = error_details_pb2.ResourceInfo()
        retry = error_details_pb2.RetryInfo()
        for detail in status.details if status is not None else ():
            if detail.Unpack(info):
                self.reason = info.reason
            elif detail.Unpack(bad_request):
                self.field_violations = tuple(
                    FieldViolation(violation.field, violation.description)
                    for violation in bad_request.field_violations
                )
            elif detail.Unpack(resource):
                self.resources += (resource.resource_name,)
            elif detail.Unpack(retry):
                self.retry_seconds = retry.retry_delay.ToNanoseconds() / 1e9


class Client:
    """A connection to one server. Thread-safe; use it as a context manager or call close().

    Every method raises ShortlistError when the call fails, and ValueError or TypeError for a
    value that the messages cannot hold (a text with lone surrogates, a number out of range).
    """

    def __init__(
        self, address: str, *, tls: Tls | None = None, timeout_seconds: float = 10.0
    ) -> None:
        """Prepares the connection; it is made by the first call.

        Args:
            address: "host:port", or any gRPC target.
            tls: How to speak TLS; None speaks plain text.
            timeout_seconds: The deadline of a call that is given none of its own.
        """
        self._channel = (
            grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
            if tls is None
            else grpc.secure_channel(address, tls.credentials(), options=_CHANNEL_OPTIONS)
        )
        self._timeout_seconds = timeout_seconds
        self._search = search_service_pb2_grpc.SearchServiceStub(self._channel)
        self._retrieval = retrieval_service_pb2_grpc.RetrievalServiceStub(self._channel)
        self._rerank = rerank_service_pb2_grpc.RerankServiceStub(self._channel)
        self._catalog = catalog_service_pb2_grpc.CatalogServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection and cancels the calls under way."""
        self._channel.close()

    def search(
        self,
        query: str,
        *,
        filter: filter_pb2.Filter | None = None,
        facets: Sequence[facet_pb2.Facet] = (),
        max_per_group: int = 0,
        rules: rules_pb2.Rules | None = None,
        page_size: int = 0,
        page_token: str = "",
        recall_depth: int = 0,
        rerank_depth: int | None = None,
        timeout_seconds: float | None = None,
    ) -> search_service_pb2.SearchResponse:
        """Finds the products that answer a query best (SearchService.Search).

        `shortlist.filters` builds filters; with one, the query may be "". `shortlist.rules` builds
        rules.
        """
        request = search_service_pb2.SearchRequest(
            query=query,
            filter=filter,
            facets=facets,
            max_per_group=max_per_group,
            rules=rules,
            page_size=page_size,
            page_token=page_token,
            recall_depth=recall_depth,
            rerank_depth=rerank_depth,
        )
        return self._call(self._search.Search, request, timeout_seconds)

    def retrieve(
        self,
        query: str | Iterable[float],
        *,
        filter: filter_pb2.Filter | None = None,
        page_size: int = 0,
        channels: Iterable[channel_pb2.Channel.ValueType] = (),
        timeout_seconds: float | None = None,
    ) -> retrieval_service_pb2.RetrieveResponse:
        """Finds what stage 1 recalls for a query text or vector (RetrievalService.Retrieve)."""
        request = retrieval_service_pb2.RetrieveRequest(
            page_size=page_size, channels=channels, filter=filter
        )
        if isinstance(query, str):
            request.query = query
        else:
            request.vector.values.extend(query)
        return self._call(self._retrieval.Retrieve, request, timeout_seconds)

    def embed(
        self,
        inputs: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
    ) -> retrieval_service_pb2.EmbedResponse:
        """Encodes query texts and items with the towers (RetrievalService.Embed)."""
        request = retrieval_service_pb2.EmbedRequest(
            inputs=[
                retrieval_service_pb2.EmbedInput(query=given)
                if isinstance(given, str)
                else retrieval_service_pb2.EmbedInput(item=given)
                for given in inputs
            ]
        )
        return self._call(self._retrieval.Embed, request, timeout_seconds)

    def rerank(
        self,
        query: str,
        candidates: Sequence[str | item_pb2.Item],
        *,
        timeout_seconds: float | None = None,
    ) -> rerank_service_pb2.RerankResponse:
        """Orders candidates, given as ids or as whole items (RerankService.Rerank)."""
        request = rerank_service_pb2.RerankRequest(
            query=query,
            candidates=[
                rerank_service_pb2.RerankCandidate(item_id=given)
                if isinstance(given, str)
                else rerank_service_pb2.RerankCandidate(item=given)
                for given in candidates
            ],
        )
        return self._call(self._rerank.Rerank, request, timeout_seconds)

    def get_item(self, item_id: str, *, timeout_seconds: float | None = None) -> item_pb2.Item:
        """Returns one item (CatalogService.GetItem)."""
        request = catalog_service_pb2.GetItemRequest(item_id=item_id)
        return self._call(self._catalog.GetItem, request, timeout_seconds).item

    def batch_get_items(
        self, item_ids: Sequence[str], *, timeout_seconds: float | None = None
    ) -> catalog_service_pb2.BatchGetItemsResponse:
        """Returns the items found and the ids missing (CatalogService.BatchGetItems)."""
        request = catalog_service_pb2.BatchGetItemsRequest(item_ids=item_ids)
        return self._call(self._catalog.BatchGetItems, request, timeout_seconds)

    def _call(
        self,
        method: Callable[..., Response],
        request: Request,
        timeout_seconds: float | None,
    ) -> Response:
        timeout = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            return method(request, timeout=timeout)
        except grpc.RpcError as error:
            raise ShortlistError(cast(grpc.Call, error)) from error  # a stub's errors are calls
