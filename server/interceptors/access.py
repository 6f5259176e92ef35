"""The role check: an interceptor that refuses calls whose token lacks the method's role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import grpc
from google.rpc import status_pb2

from server.auth.tokens import Role, RoleMissingError, Tokens, UnauthenticatedError
from server.interceptors.errors import abort, error_status
from server.interceptors.handlers import handler_factory


class AccessInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Refuses calls whose token lacks the method's role, before their requests are read."""

    def __init__(self, tokens: Tokens, roles: Mapping[str, Role | None]):
        """Prepare to check tokens.

        Args:
            tokens: The known tokens.
            roles: The role that each method needs, by its full name; None: no token is needed.
                Methods that are not listed need the role `admin`.
        """
        self._tokens = tokens
        self._roles = roles

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the method's handler, or a handler of the same kind that refuses the call."""
        handler = await continuation(handler_call_details)
        error = self.objection(handler_call_details)
        if handler is None or error is None:
            return handler
        return _refusing(handler, error_status(error, handler_call_details.method))

    def objection(self, call: grpc.HandlerCallDetails) -> Exception | None:
        """Return the error for a call that is not allowed; None for an allowed call."""
        role = self._roles.get(call.method, Role.ADMIN)
        try:
            if role is not None:
                self._tokens.check(bearer_token(call.invocation_metadata), role)
        except (UnauthenticatedError, RoleMissingError) as error:
            return error
        return None


def bearer_token(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """Return the bearer token of a call; None if the call has no token or several."""
    values = [value for key, value in metadata if key == "authorization"]
    if len(values) != 1 or not isinstance(values[0], str):
        return None
    scheme, _, token = values[0].partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _refusing(handler: Any, status: status_pb2.Status) -> Any:
    async def refuse(_: Any, context: Any) -> None:
        await abort(context, status)

    return handler_factory(handler)(refuse)
