"""The error that a failed call raises."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

# The trailer in which gRPC carries the google.rpc.Status with the details.
_STATUS_KEY = "grpc-status-details-bin"


@dataclass(frozen=True)
class FieldViolation:
    """A field of a request that breaks a rule of the contract."""

    field: str  # path, such as "candidates[3].item.title"
    problem: str


class ShortlistError(Exception):
    """A call failed. The exception's cause is the grpc.RpcError of the call.

    Attributes:
        code: The canonical gRPC code.
        message: The message of the server.
        reason: A value of shortlist.v1.ErrorReason without its prefix; "" if gRPC itself failed.
        field_violations: The fields at fault, for INVALID_ARGUMENT.
        resources: The ids that the server does not have, for NOT_FOUND.
        retry_seconds: The seconds that the server asks to wait, for RESOURCE_EXHAUSTED.
        error_id: The id of the error in the server's log, for INTERNAL; else "".
        request_id: The id of the call in the server's log.
    """

    def __init__(self, error: grpc.RpcError | grpc.Call, request_id: str = "") -> None:
        call = cast(grpc.Call, error)  # every RpcError that a stub raises is also a Call
        self.code: grpc.StatusCode = call.code()
        self.message: str = call.details() or ""
        self.reason: str = ""
        self.field_violations: tuple[FieldViolation, ...] = ()
        self.resources: tuple[str, ...] = ()
        self.retry_seconds: float | None = None
        self.error_id: str = ""
        self.request_id: str = request_id
        metadata = cast(Iterable[tuple[str, str | bytes]], call.trailing_metadata() or ())
        for key, value in metadata:
            if key == _STATUS_KEY and isinstance(value, bytes):
                self._read_details(value)
        super().__init__(f"{self.code.name}: {self.message}")

    def _read_details(self, packed: bytes) -> None:
        """Read the error details. Ignore bytes that are no Status: a proxy may have sent them."""
        try:
            for detail in status_pb2.Status.FromString(packed).details:
                self._read_detail(detail)
        except DecodeError:
            return

    def _read_detail(self, detail: any_pb2.Any) -> None:
        info = error_details_pb2.ErrorInfo()
        bad_request = error_details_pb2.BadRequest()
        resource = error_details_pb2.ResourceInfo()
        retry = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            self.reason = info.reason
            self.error_id = info.metadata.get("error_id", "")
        elif detail.Unpack(bad_request):
            self.field_violations += tuple(
                FieldViolation(violation.field, violation.description)
                for violation in bad_request.field_violations
            )
        elif detail.Unpack(resource):
            self.resources += (resource.resource_name,)
        elif detail.Unpack(retry):
            self.retry_seconds = retry.retry_delay.ToNanoseconds() / 1e9
