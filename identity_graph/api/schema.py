"""The schema, from code. Its snapshot is `graphql/schema.graphql`."""

from collections.abc import Callable
from functools import cache

import strawberry
from graphql import GraphQLObjectType, GraphQLSchema
from strawberry.types.field import StrawberryField

from identity_graph.api.mutation import Mutation
from identity_graph.api.query import Query
from identity_graph.api.scalars import SCALARS
from identity_graph.api.types import Change, Link, Profile


@cache
def schema() -> strawberry.Schema:
    return strawberry.Schema(Query, Mutation, types=[Change, Link, Profile], config=SCALARS)


@cache
def core_schema() -> GraphQLSchema:
    """The same as the executor takes it; a field that only reads an attribute does so by the shortest way."""
    # Strawberry shows graphql-core's schema nowhere else.
    core = schema()._schema  # pyright: ignore[reportPrivateUsage]
    for kind in core.type_map.values():
        for field in kind.fields.values() if isinstance(kind, GraphQLObjectType) else ():
            own = field.extensions.get("strawberry-definition")
            if isinstance(own, StrawberryField) and own.is_basic_field:
                field.resolve = _attribute(own.python_name)
    return core


def _attribute(name: str) -> Callable[[object, object], object]:
    return lambda source, _: getattr(source, name)


def sdl() -> str:
    """The schema in its own language."""
    return schema().as_str().strip() + "\n"
