"""`/graphql`: GraphQL over HTTP, https://graphql.github.io/graphql-over-http/draft/ as audited by npm's graphql-http.

Documents run on the executor of graphql-core over the schema that Strawberry made. That leaves out what this service
does not use (extensions, incremental delivery) and half of the time of a small query.
"""

import base64
from typing import Any, NamedTuple
from urllib.parse import parse_qs

import orjson
from graphql import ExecutionResult, GraphQLError, OperationType, execute

from identity_graph.api import graphiql
from identity_graph.api.context import Context
from identity_graph.api.documents import Documents, InvalidDocument, Operation
from identity_graph.api.endpoint import Answer, Endpoint, State, advice
from identity_graph.api.errors import (
    NEVER_GIVEN_OUT,
    BadInput,
    NotAcceptable,
    NotSupported,
    Rendering,
    TooLarge,
    WrongMethod,
    extensions,
    formatted,
)
from identity_graph.api.execution import ShortExecutor
from identity_graph.api.http import JSON_TYPE, Headers, Receive, headers_of, read_body, read_json
from identity_graph.api.http import Scope as AsgiScope
from identity_graph.api.keys import Scope
from identity_graph.api.limits import MAX_ERRORS
from identity_graph.api.schema import core_schema
from identity_graph.services.audit import shown

#: A query of 1,000 identifiers takes some 100 KB.
MAX_QUERY_BODY = 256 * 1024
#: 500 observations with traits of some KB each; trackers send batches of up to 4 MiB too.
MAX_MUTATION_BODY = 4 * 1024 * 1024

GRAPHQL_TYPE = b"application/graphql-response+json"
_CHARSET = b"; charset=utf-8"
_NEEDS = {OperationType.QUERY: Scope.READ, OperationType.MUTATION: Scope.WRITE, OperationType.SUBSCRIPTION: Scope.READ}


class Request(NamedTuple):
    """What a client asks, and the length of its body in bytes."""

    query: str
    variables: dict[str, Any]
    operation: str | None
    size: int


class GraphQL(Endpoint):
    name = "/graphql"

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self._schema = core_schema()
        self._documents = Documents(self._schema)

    async def answer(self, scope: AsgiScope, receive: Receive) -> Answer:
        headers = headers_of(scope)
        method = scope["method"]
        if method == "GET" and self.state.gate.is_open and wants_page(scope, headers):
            return Answer(200, graphiql.page(), b"text/html; charset=utf-8", graphiql.HEADERS)
        if method not in ("GET", "POST"):
            raise WrongMethod("GraphQL is spoken by GET and POST")
        caller = self.state.gate.admit(headers)
        media_type = accepted(headers)
        if method == "GET":
            request = from_url(scope["query_string"])
        else:
            body = await read_body(receive, headers, MAX_MUTATION_BODY)
            request = from_json(read_json(body, headers), len(body))
        services = self.state.ready()
        try:
            operation = self._documents.operation(request.query, request.operation, open=caller.allows(Scope.ADMIN))
        except InvalidDocument as e:
            return _invalid(e.errors, media_type, e.code)
        if operation.kind is not OperationType.QUERY and method == "GET":
            raise WrongMethod("a mutation is sent by POST")
        if operation.kind is OperationType.QUERY and request.size > MAX_QUERY_BODY:
            raise TooLarge(f"the body of a query has at most {MAX_QUERY_BODY} bytes")
        context = Context(services, caller, token_of(headers))
        context.require(_NEEDS[operation.kind])
        operation.plan.check_cost(request.variables)
        profiles: set[str] = set()
        shown.set(profiles)
        failed: bool | None = None
        try:
            result = await self._execute(operation, request, context)
            failed = bool(result.errors)
        finally:
            # Also of a request that was given up: a write may go on, of which nobody knows yet whether it fails.
            if services.audit:
                does = "read" if operation.kind is OperationType.QUERY else "change"
                services.audit.tell(caller.name, does, operation.fields, profiles, failed=failed)
        return rendered(result, media_type)

    async def _execute(self, operation: Operation, request: Request, context: Context) -> ExecutionResult:
        result = execute(
            self._schema,
            operation.document,
            None,
            context,
            request.variables,
            operation.name,
            max_coercion_errors=MAX_ERRORS,
            hide_suggestions=not context.caller.allows(Scope.ADMIN),
            executor_class=ShortExecutor,
            ways=operation.ways,
        )
        return result if isinstance(result, ExecutionResult) else await result

    def refuse(self, scope: AsgiScope, rendering: Rendering, message: str) -> Answer:
        try:
            media_type = accepted(headers_of(scope))
        except NotAcceptable:
            media_type = JSON_TYPE
        body = orjson.dumps({"errors": [{"message": message, "extensions": extensions(rendering)}]})
        allow = ((b"allow", b"GET, POST"),) if rendering.status == 405 else ()
        return Answer(rendering.status, body, media_type + _CHARSET, advice(rendering) + allow)


def wants_page(scope: AsgiScope, headers: Headers) -> bool:
    return b"text/html" in headers.get(b"accept", b"") and b"query=" not in scope["query_string"]


def accepted(headers: Headers) -> bytes:
    """The media type to answer in: what the client names first of those that we speak."""
    accept = headers.get(b"accept")
    if not accept:
        return JSON_TYPE
    for part in accept.lower().split(b","):
        name = part.partition(b";")[0].strip()
        if name in (GRAPHQL_TYPE, JSON_TYPE):
            return name
        if name in (b"*/*", b"application/*"):
            return JSON_TYPE
    raise NotAcceptable("the answer comes as application/graphql-response+json or application/json")


def token_of(headers: Headers) -> str | None:
    """The consistency token that a client sends with a read; what it holds is the database's affair."""
    token = headers.get(b"x-consistency-token")
    if not token:
        return None
    try:
        base64.b64decode(token, b"-_", validate=True).decode()
    except ValueError:
        raise BadInput(NEVER_GIVEN_OUT) from None
    return token.decode()


def from_url(query_string: bytes) -> Request:
    try:
        values = {name: found[-1] for name, found in parse_qs(query_string.decode(), True, errors="strict").items()}
    except ValueError:
        raise NotSupported("the query string must be in UTF-8") from None
    plain: dict[str, Any] = {name: values[name] for name in ("query", "operationName") if name in values}
    for name in ("variables", "extensions"):
        if values.get(name):
            try:
                plain[name] = orjson.loads(values[name])
            except orjson.JSONDecodeError:
                raise NotSupported(f"{name} must be JSON") from None
    return from_json(plain, len(query_string))


def from_json(body: dict[str, Any], size: int) -> Request:
    query, operation = body.get("query"), body.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise NotSupported("query must be a text that is not empty")
    if operation is not None and not isinstance(operation, str):
        raise NotSupported("operationName must be a text")
    for name in ("variables", "extensions"):
        if not isinstance(body.get(name), dict | None):
            raise NotSupported(f"{name} must be an object")
    return Request(query, body.get("variables") or {}, operation or None, size)


def rendered(result: ExecutionResult, media_type: bytes) -> Answer:
    """An executed request; one that failed before its first field is invalid."""
    if not result.errors:
        return Answer(200, orjson.dumps({"data": result.data}), media_type + _CHARSET)
    if result.data is None and all(error.path is None for error in result.errors):
        return _invalid(result.errors, media_type, "BAD_INPUT")
    entries = [formatted(error) for error in result.errors[:MAX_ERRORS]]
    body = {"errors": [entry for entry, _ in entries], "data": result.data}
    status, extra = 200, ()
    if not result.data or all(value is None for value in result.data.values()):
        # Nothing was answered. Where the database is to blame, say so to proxies and retrying clients as well.
        blame = max((rendering for _, rendering in entries), key=lambda r: r.status)
        if blame.status >= 429:
            status, extra = blame.status, advice(blame)
    return Answer(status, orjson.dumps(body), media_type + _CHARSET, extra)


def _invalid(errors: list[GraphQLError], media_type: bytes, code: str) -> Answer:
    """A request that was not executed. By the older media type such an answer is 200, since it is well-formed."""
    body = orjson.dumps({"errors": [formatted(error, code)[0] for error in errors[:MAX_ERRORS]]})
    return Answer(400 if media_type == GRAPHQL_TYPE else 200, body, media_type + _CHARSET)
