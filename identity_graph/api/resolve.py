"""`POST /v1/resolve`: the statuses of GraphQL's `resolve` as lean JSON, for look-ups in a request path."""

from typing import Any

import orjson

from identity_graph.api.context import Context
from identity_graph.api.endpoint import Answer, Endpoint
from identity_graph.api.errors import BadInput, WrongMethod
from identity_graph.api.graphql_http import MAX_MUTATION_BODY, token_of
from identity_graph.api.http import Receive, headers_of, read_body, read_json
from identity_graph.api.http import Scope as AsgiScope
from identity_graph.api.keys import Scope
from identity_graph.services.lookup import MAX_IDENTIFIERS


class Resolve(Endpoint):
    name = "/v1/resolve"

    async def answer(self, scope: AsgiScope, receive: Receive) -> Answer:
        headers = headers_of(scope)
        if scope["method"] != "POST":
            raise WrongMethod("identifiers are sent by POST")
        context = Context(self.state.ready(), self.state.gate.admit(headers), token_of(headers))
        context.require(Scope.READ)
        body = read_json(await read_body(receive, headers, MAX_MUTATION_BODY), headers)
        as_of = body.get("asOf")
        if not isinstance(as_of, str | None):
            raise BadInput("asOf must be an ISO 8601 date and time such as 2026-03-01T10:00:00Z")
        asked = _identifiers(body.get("identifiers"))
        found = await context.services.lookup.resolve(asked, context.fresh(as_of))
        if context.services.audit:
            profiles = {f.profile for f in found if f.profile}
            context.services.audit.tell(context.caller.name, "read", ("/v1/resolve",), profiles)
        results = [
            {"namespace": f.namespace, "value": f.value, "status": f.status, "profileId": f.profile} for f in found
        ]
        return Answer(200, orjson.dumps({"results": results}))


def _identifiers(value: Any) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        raise BadInput("identifiers must be a list of namespace and value")
    if len(value) > MAX_IDENTIFIERS:
        raise BadInput(f"identifiers has at most {MAX_IDENTIFIERS} items, this one has {len(value)}")
    found: list[tuple[str, str]] = []
    for at, item in enumerate(value):
        match item:
            case {"namespace": str(namespace), "value": str(text)}:
                found.append((namespace, text))
            case _:
                raise BadInput(f"identifiers[{at}] must be an object with the texts namespace and value")
    return found
