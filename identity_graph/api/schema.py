"""The schema, from code. Its snapshot is `graphql/schema.graphql`."""

from functools import cache

import strawberry
from graphql import GraphQLSchema

from identity_graph.api.execution import prepare
from identity_graph.api.mutation import Mutation
from identity_graph.api.query import Query
from identity_graph.api.scalars import SCALARS
from identity_graph.api.types import Change, Link, Profile


@cache
def schema() -> strawberry.Schema:
    return strawberry.Schema(Query, Mutation, types=[Change, Link, Profile], config=SCALARS)


@cache
def core_schema() -> GraphQLSchema:
    """The same as the executor takes it."""
    # Strawberry shows graphql-core's schema nowhere else.
    core = schema()._schema  # pyright: ignore[reportPrivateUsage]
    prepare(core)
    return core


def sdl() -> str:
    """The schema in its own language."""
    return schema().as_str().strip() + "\n"
