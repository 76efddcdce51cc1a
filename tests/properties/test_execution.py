"""The short way of executing a query answers what graphql-core answers, also where something is wrong."""

import asyncio
from enum import Enum
from typing import Annotated, Any

import pytest
import strawberry
from graphql import ExecutionResult, GraphQLSchema, execute, parse
from graphql.execution import Executor
from hypothesis import given
from hypothesis import strategies as st

from identity_graph.api.execution import ShortExecutor, Ways, at_hand, prepare

TOO_LARGE = 2**31


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@strawberry.interface
class Named:
    name: str


@strawberry.type
class Cat(Named):
    lives: int
    weight: float | None
    colour: Colour


@strawberry.type
class Dog(Named):
    good: bool
    friends: list["Animal"]
    later: strawberry.Private[int | None]

    @strawberry.field(metadata=at_hand(lambda dog: dog.known()))
    async def age(self) -> int | None:
        return self.later

    def known(self) -> int:
        if self.later is None:
            raise LookupError
        return self.later


Animal = Annotated[Cat | Dog, strawberry.union("Animal")]


@strawberry.type
class Owner:
    id: strawberry.ID
    pets: list[Animal]
    names: list[str | None] | None
    first: Named | None

    @strawberry.field
    def computed(self) -> int:
        return 1


@strawberry.type
class Query:
    @strawberry.field
    def owners(self, info: strawberry.Info[Any, Any]) -> list[Owner]:
        return info.context

    @strawberry.field
    async def owner(self, info: strawberry.Info[Any, Any]) -> Owner | None:
        return next(iter(info.context), None)


def _schema() -> GraphQLSchema:
    core = strawberry.Schema(Query)._schema  # pyright: ignore[reportPrivateUsage]
    prepare(core)
    return core


SCHEMA = _schema()

# Wrong values stand for defects of resolvers: graphql-core has an answer to them too.
_names = st.one_of(st.text(max_size=3), st.none(), st.just(7), st.just(object))
_cats = st.builds(
    Cat,
    name=_names,
    lives=st.sampled_from([0, 9, TOO_LARGE, None, True, "9", 1.5]),
    weight=st.sampled_from([None, 4.5, float("inf"), 3, "x"]),
    colour=st.sampled_from([*Colour, None, "red", []]),
)
_dogs = st.builds(
    Dog,
    name=_names,
    good=st.sampled_from([True, False, None, 1, "no"]),
    friends=st.lists(st.one_of(_cats, st.none()), max_size=2),
    later=st.sampled_from([None, 3, TOO_LARGE]),
)
_animals = st.one_of(_cats, _dogs, st.just(Query()))
_owners = st.lists(
    st.builds(
        Owner,
        id=st.sampled_from(["a", strawberry.ID("b"), 5, None]),
        pets=st.lists(_animals, max_size=3).flatmap(lambda pets: st.sampled_from([pets, tuple(pets), None])),
        names=st.one_of(st.none(), st.lists(_names, max_size=2)),
        first=st.one_of(st.none(), _animals),
    ),
    max_size=3,
)
DOCUMENTS = (
    "{ owners { id names pets { __typename ... on Cat { lives weight colour } ... on Dog { good } } } }",
    "{ owners { computed pets { ... on Named { name } ... on Dog { age friends { ... on Cat { lives } } } } } }",
    "query ($no: Boolean!) { owner { a: id b: id first { ...N } } owners { x: names first { ...N @skip(if: $no) } } }"
    " fragment N on Named { n: name ... on Cat @include(if: $no) { lives } }",
)


PARSED = {document: parse(document) for document in DOCUMENTS}
#: What earlier examples have found, as the service keeps it.
WAYS: dict[str, Ways | None] = {document: None if "@" in document else {} for document in DOCUMENTS}


def _answer(executor: type[Executor[Any]], document: str, owners: list[Owner], no: bool) -> tuple[Any, list[Any]]:
    async def run() -> ExecutionResult:
        parsed = PARSED.get(document) or parse(document)
        variables = {"no": no} if "$no" in document else None
        kept = {"ways": WAYS.get(document)} if executor is ShortExecutor else {}
        result = execute(SCHEMA, parsed, None, owners, variables, executor_class=executor, **kept)
        return result if isinstance(result, ExecutionResult) else await result

    result = asyncio.run(run())
    errors = [(e.message, e.path, e.locations) for e in result.errors or ()]
    return result.data, sorted(errors, key=str)


@given(_owners, st.sampled_from(DOCUMENTS), st.booleans())
def test_the_short_way_answers_what_the_long_way_answers(owners: list[Owner], document: str, no: bool) -> None:
    assert _answer(ShortExecutor, document, owners, no) == _answer(Executor, document, owners, no)


def test_what_is_at_hand_is_read_off_and_the_rest_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []
    build = ShortExecutor.build_resolve_info

    def counted(self: ShortExecutor, *args: Any) -> Any:
        info = build(self, *args)
        resolved.append(info.field_name)
        return info

    monkeypatch.setattr(ShortExecutor, "build_resolve_info", counted)
    dog = Dog(name="Rex", good=True, friends=[Cat(name="Tom", lives=9, weight=4.0, colour=Colour.RED)], later=3)
    ask = "{ pets { ... on Dog { name age friends { ... on Cat { name lives colour } } } } }"
    _answer(
        ShortExecutor,
        f"{{ owners {ask} }}",
        [Owner(id=strawberry.ID("1"), pets=[dog] * 9, names=None, first=None)],
        no=False,
    )
    assert resolved == ["owners"]

    resolved.clear()
    dog.later = None
    _answer(
        ShortExecutor,
        f"{{ owners {ask} }}",
        [Owner(id=strawberry.ID("1"), pets=[dog], names=None, first=None)],
        no=False,
    )
    assert resolved.count("age") == 1
