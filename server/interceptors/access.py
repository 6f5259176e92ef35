"""The role check: an interceptor that refuses calls whose token lacks the method's role."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from typing import Any

import grpc
from google.rpc import status_pb2

from server.auth.tokens import Role, RoleMissingError, Tokens, UnauthenticatedError
from server.interceptors.errors import abort, error_status
from server.interceptors.handlers import handler_factory, wrap_handler


class AccessInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in stubs only
    """Refuses calls whose token lacks the method's role, before their requests are read.

    A stream of requests can last for an hour. So the token is checked again for each request of a
    stream, and the stream ends at the first request after the token has lost the role.
    """

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
        if handler is None:
            return None
        if error is not None:
            return _refusing(handler, error_status(error, handler_call_details.method))
        role = self._role(handler_call_details)
        if role is None or not handler.request_streaming:
            return handler
        token = bearer_token(handler_call_details.invocation_metadata)
        return _rechecking(handler, self._tokens.recheck(token, role))

    def objection(self, call: grpc.HandlerCallDetails) -> Exception | None:
        """Return the error for a call that is not allowed; None for an allowed call."""
        role = self._role(call)
        try:
            if role is not None:
                self._tokens.check(bearer_token(call.invocation_metadata), role)
        except (UnauthenticatedError, RoleMissingError) as error:
            return error
        return None

    def _role(self, call: grpc.HandlerCallDetails) -> Role | None:
        return self._roles.get(call.method, Role.ADMIN)


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


def _rechecking(handler: Any, recheck: Callable[[], None]) -> Any:
    """Return a handler for one call that runs `recheck` before each request of the stream."""

    async def checked(request: Any) -> Any:
        recheck()  # `ErrorInterceptor` answers the error, after the answers to earlier requests
        return request

    return wrap_handler(handler, lambda _: nullcontext(), convert=checked)
