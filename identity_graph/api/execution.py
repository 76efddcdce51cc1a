"""Executes documents by graphql-core, with a short way through what is at hand.

graphql-core takes some 20 µs for each field, as any of them may be computed, awaited or fail. Most fields of an answer
are attributes of objects that one resolver has read, and to read them off takes a fiftieth of that. So a part of an
answer with nothing to compute is read off as a whole. Where that meets anything out of the ordinary, it gives up, and
graphql-core completes that part from its start, with its own errors: both ways give the same answer.
"""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias

from graphql import (
    GraphQLBoolean,
    GraphQLID,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLString,
    Undefined,
    is_abstract_type,
    is_enum_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.execution import Executor
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path
from graphql.type import GraphQLLeafType
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

_AT_HAND = "at-hand"
_STRAWBERRY = "strawberry-definition"
_TYPENAME = "__typename"

OutputType: TypeAlias = Any
"""graphql-core's `GraphQLOutputType`, whose lists say nothing of their items."""

Way: TypeAlias = Callable[[Any], Any]
"""From what a resolver returned to what is answered. It raises anything where it does not know how."""

Ways: TypeAlias = dict[tuple[int, ...], Way | None]
"""By the identities of a type and of the nodes of a document that select it, which both outlive this."""

#: Scalars whose values of this class are answered as they are; those of others have to be looked at.
_PLAIN = {GraphQLString.name: str, GraphQLID.name: str, GraphQLBoolean.name: bool}


class OutOfTheOrdinary(Exception):
    """A value that graphql-core has to look at."""


def at_hand(read: Way) -> dict[str, Any]:
    """Metadata of a field with a resolver: how to read its value off the object, raising where it is not there yet."""
    return {_AT_HAND: read}


def prepare(schema: GraphQLSchema) -> None:
    """Note in a schema made by Strawberry which fields are at hand; those that are an attribute are also resolved by
    the shortest way."""
    for kind in schema.type_map.values():
        for field in kind.fields.values() if isinstance(kind, GraphQLObjectType) else ():
            own = field.extensions.get(_STRAWBERRY)
            if isinstance(own, StrawberryField):
                if own.is_basic_field:
                    field.resolve = _attribute(own.python_name)
                    field.extensions[_AT_HAND] = attrgetter(own.python_name)
                elif _AT_HAND in own.metadata:
                    field.extensions[_AT_HAND] = own.metadata[_AT_HAND]


def _attribute(name: str) -> Callable[[object, object], object]:
    return lambda source, _: getattr(source, name)


class ShortExecutor(Executor[Any]):
    """The executor of one request. ``ways`` are what those before have found for the same operation."""

    def __init__(self, *args: Any, ways: Ways | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ways: Ways = {} if ways is None else ways

    def complete_value(
        self,
        return_type: OutputType,
        field_details_list: FieldDetailsList,
        info: GraphQLResolveInfo[Any],
        path: Path,
        result: Any,
        position_context: Any,
    ) -> Any:
        if way := self._way(return_type, field_details_list):
            try:
                return way(result)
            except Exception:  # noqa: S110
                pass  # Whatever it was, the long way says it.
        return super().complete_value(return_type, field_details_list, info, path, result, position_context)

    def _way(self, kind: OutputType, selected: FieldDetailsList) -> Way | None:
        """The way of values of a type, None where a part of the selection has to be computed."""
        key = (id(kind), *(id(details.node) for details in selected))
        if key not in self._ways:
            if is_non_null_type(kind):
                self._ways[key] = self._way_of_some(kind.of_type, selected)
            else:
                self._ways[key] = _optional(self._way_of_some(kind, selected))
        return self._ways[key]

    def _way_of_some(self, kind: OutputType, selected: FieldDetailsList) -> Way | None:
        """The same for values that are not None, which it refuses."""
        if is_leaf_type(kind):
            return _leaf(kind)
        if is_list_type(kind):
            return _list(self._way(kind.of_type, selected))
        if is_object_type(kind):
            return self._object(kind, selected)
        if is_abstract_type(kind):
            ways = {_class(one): self._object(one, selected) for one in self.schema.get_possible_types(kind)}
            return _alternatives({of: way for of, way in ways.items() if way})
        return None

    def _object(self, kind: GraphQLObjectType, selected: FieldDetailsList) -> Way | None:
        parts: list[tuple[str, Way, Way]] = []
        for name, details in self.collect_subfields(kind, selected).grouped_field_set.items():
            if details[0].node.name.value == _TYPENAME:
                parts.append((name, _constant(kind.name), _same))
                continue
            field = self.schema.get_field(kind, details[0].node.name.value)
            read = field and field.extensions.get(_AT_HAND)
            way = field and read and self._way(field.type, details)
            if not (read and way):
                return None
            parts.append((name, read, way))

        def of_object(value: Any) -> dict[str, Any]:
            return {name: way(read(value)) for name, read, way in parts}

        return of_object


def _class(kind: GraphQLObjectType) -> type:
    """The Python class of an object type."""
    definition: StrawberryObjectDefinition = kind.extensions[_STRAWBERRY]
    return definition.origin


def _alternatives(ways: dict[type, Way]) -> Way | None:
    return (lambda value: ways[type(value)](value)) if ways else None


def _optional(way: Way | None) -> Way | None:
    return way and (lambda value: None if value is None else way(value))


def _list(way: Way | None) -> Way | None:
    if way is None:
        return None

    def of_list(values: Any) -> list[Any]:
        if type(values) is not list:
            raise OutOfTheOrdinary
        return [way(value) for value in values]

    return of_list


def _leaf(kind: GraphQLLeafType) -> Way:
    """Of a scalar or an enum."""
    coerced = _coerced(kind)
    if is_enum_type(kind):
        return cache(coerced)
    plain = _PLAIN.get(kind.name)
    return (lambda value: value if type(value) is plain else coerced(value)) if plain else coerced


def _coerced(kind: GraphQLLeafType) -> Way:
    coerce = kind.coerce_output_value

    def of_leaf(value: Any) -> Any:
        coerced = None if value is None else coerce(value)
        if coerced is None or coerced is Undefined:
            raise OutOfTheOrdinary
        return coerced

    return of_leaf


def _constant(value: Any) -> Way:
    return lambda _: value


def _same(value: Any) -> Any:
    return value
