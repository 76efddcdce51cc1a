"""Documents, parsed and validated once. Clients send few different ones, so the next request finds its own ready."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from graphql.validation import NoSchemaIntrospectionCustomRule

from identity_graph.api.errors import TooComplex
from identity_graph.api.execution import Ways
from identity_graph.api.limits import MAX_ERRORS, MAX_TOKENS, Plan

#: Documents kept, and the longest worth keeping, in characters: together at most some tens of MB.
KEPT = 256
LONGEST_KEPT = 10_000

NOT_PARSED = "GRAPHQL_PARSE_FAILED"
NOT_VALID = "GRAPHQL_VALIDATION_FAILED"


class InvalidDocument(Exception):
    """The text is no valid document. ``code`` says at which step it failed."""

    def __init__(self, code: str, errors: list[GraphQLError]) -> None:
        super().__init__(code)
        self.code, self.errors = code, errors


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, ready to be executed. ``fields`` are the names of what it asks for.

    ``ways`` are kept from one execution to the next, or None where a directive may let each select something else.
    """

    document: DocumentNode
    name: str | None
    kind: OperationType
    plan: Plan
    fields: frozenset[str]
    ways: Ways | None


class Documents:
    """The cache. ``open`` callers may look at the schema, and are told what they may have meant."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: OrderedDict[tuple[str, bool], dict[str | None, Operation]] = OrderedDict()

    def operation(self, text: str, name: str | None, *, open: bool) -> Operation:
        """The operation of that name, or the only one. Raises :class:`InvalidDocument` and ``TooComplex``."""
        key = (text, open)
        operations = self._kept.get(key)
        if operations is None:
            try:
                operations = self._prepare(text, open)
            except RecursionError:
                raise TooComplex("the document is nested too deeply") from None
            if len(text) <= LONGEST_KEPT:
                self._kept[key] = operations
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return _chosen(operations, name)

    def _prepare(self, text: str, open: bool) -> dict[str | None, Operation]:
        try:
            document = parse(text, max_tokens=MAX_TOKENS)
        except GraphQLError as e:
            raise InvalidDocument(NOT_PARSED, [e]) from None
        rules = specified_rules if open else (*specified_rules, NoSchemaIntrospectionCustomRule)
        errors = validate(self._schema, document, rules, max_errors=MAX_ERRORS, hide_suggestions=not open)
        if errors:
            raise InvalidDocument(NOT_VALID, errors)
        return {
            definition.name.value if definition.name else None: Operation(
                document,
                definition.name.value if definition.name else None,
                definition.operation,
                Plan(self._schema, document, definition),
                _fields(document, definition),
                None if "@" in text else {},
            )
            for definition in document.definitions
            if isinstance(definition, OperationDefinitionNode)
        }


def _fields(document: DocumentNode, operation: OperationDefinitionNode) -> frozenset[str]:
    """What an operation asks for at its root. Each fragment is looked into once, however often it is spread."""
    found: set[str] = set()
    spread = [operation.selection_set]
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    while spread:
        for one in spread.pop().selections:
            match one:
                case FieldNode():
                    found.add(one.name.value)
                case InlineFragmentNode():
                    spread.append(one.selection_set)
                case _:
                    if fragment := fragments.pop(cast("FragmentSpreadNode", one).name.value, None):
                        spread.append(fragment.selection_set)
    return frozenset(found)


def _chosen(operations: dict[str | None, Operation], name: str | None) -> Operation:
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name not in operations or name is None:
        named = ", ".join(sorted(n for n in operations if n))
        message = f"operationName must be one of {named}" if named else "the document has no operation"
        raise InvalidDocument(NOT_VALID, [GraphQLError(message)])
    return operations[name]
