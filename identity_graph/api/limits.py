"""What one GraphQL request may ask for.

The cost of a request is the number of objects that it may return: a list counts as long as the nearest argument above
it says (``first``, ``last``, or the length of a list that was sent), else as long as such a list usually is. Fragments
count wherever they are spread. Introspection has its own permission, so it costs nothing here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

from identity_graph.api.errors import TooComplex

MAX_TOKENS = 2_000
MAX_DEPTH = 8
MAX_ALIASES = 15
MAX_ROOT_FIELDS = 10
MAX_DIRECTIVES = 10
MAX_COST = 5_000
MAX_ERRORS = 5
#: Costs kept of each document, by the numbers and lengths in its variables.
COSTS_KEPT = 100

#: The key of a field's metadata that says how long its list usually is.
LENGTH = "length"
USUAL_LENGTH = 5

Variables = Mapping[str, Any]


@dataclass(slots=True)
class _Selected:
    """A field: is it a list, how long usually, which arguments say how long, and what is selected of it.

    ``default`` is how long where none of ``sizes`` says so.
    """

    is_list: bool
    usual_length: int
    sizes: tuple[ValueNode, ...]
    default: int | None
    inputs: tuple[ValueNode, ...]
    inner: "_Selection | None"


@dataclass(slots=True)
class _Selection:
    """A selection set; its depth and its number of fields are kept, since a fragment may be spread in many places."""

    fields: list[_Selected] = field(default_factory=list[_Selected])
    fragments: list["_Selection"] = field(default_factory=list["_Selection"])
    depth: int = 0
    width: int = 0

    def add(self, selected: _Selected) -> None:
        self.fields.append(selected)
        self.depth = max(self.depth, 1 + (selected.inner.depth if selected.inner else 0))
        self.width += 1

    def spread(self, fragment: "_Selection") -> None:
        self.fragments.append(fragment)
        self.depth = max(self.depth, fragment.depth)
        self.width += fragment.width


class Plan:
    """An operation's limits, worked out once; only the cost depends on the variables."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        """Raises :class:`TooComplex`. The document must be valid."""
        self._schema = schema
        self._fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self._planned: dict[str, _Selection] = {}
        self._defaults = {d.variable.name.value: d.default_value for d in operation.variable_definitions or ()}
        root = schema.get_root_type(operation.operation)
        self._root = self._plan(root, operation.selection_set)
        self._costs: dict[tuple[tuple[bool, int | tuple[int]], ...], int] = {}
        self._check(document)

    def check_cost(self, variables: Variables) -> None:
        # The cost follows from these numbers, and a client sends the same ones again and again.
        numbers = tuple((name in variables, _extent(variables.get(name))) for name in self._defaults)
        cost = self._costs.get(numbers)
        if cost is None:
            cost = self._cost(self._root, None, variables, {})
            if len(self._costs) < COSTS_KEPT:
                self._costs[numbers] = cost
        if cost > MAX_COST:
            raise TooComplex(f"the request may return {cost} objects, {MAX_COST} are allowed; ask for smaller pages")

    def _check(self, document: DocumentNode) -> None:
        nodes = list(_selections(document))
        aliases = sum(isinstance(node, FieldNode) and node.alias is not None for node in nodes)
        directives = sum(len(node.directives or ()) for node in nodes)
        for what, count, most in (
            ("is nested {} fields deep", self._root.depth, MAX_DEPTH),
            ("has {} root fields", self._root.width, MAX_ROOT_FIELDS),
            ("has {} aliases", aliases, MAX_ALIASES),
            ("has {} directives", directives, MAX_DIRECTIVES),
        ):
            if count > most:
                raise TooComplex(f"the document {what.format(count)}, {most} are allowed")

    def _plan(self, parent: GraphQLNamedType | None, selection_set: SelectionSetNode) -> _Selection:
        planned = _Selection()
        for node in selection_set.selections:
            match node:
                case FieldNode():
                    if not node.name.value.startswith("__"):
                        planned.add(self._selected(parent, node))
                case InlineFragmentNode():
                    condition = node.type_condition
                    kind = self._schema.get_type(condition.name.value) if condition else parent
                    planned.spread(self._plan(kind, node.selection_set))
                case FragmentSpreadNode():
                    planned.spread(self._fragment(node.name.value))
                case _:
                    pass
        return planned

    def _fragment(self, name: str) -> _Selection:
        if name not in self._planned:
            fragment = self._fragments[name]
            kind = self._schema.get_type(fragment.type_condition.name.value)
            self._planned[name] = self._plan(kind, fragment.selection_set)
        return self._planned[name]

    def _selected(self, parent: GraphQLNamedType | None, node: FieldNode) -> _Selected:
        if not isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
            return _Selected(False, 1, (), None, (), None)
        definition = parent.fields[node.name.value]
        kind = get_named_type(definition.type)
        own = getattr(definition.extensions.get("strawberry-definition"), "metadata", {})
        arguments = {a.name.value: a.value for a in node.arguments or ()}
        sizes = tuple(size for name in ("first", "last") if (size := arguments.pop(name, None)))
        paged = definition.args.get("first")
        inner = self._plan(kind, node.selection_set) if node.selection_set and is_composite_type(kind) else None
        return _Selected(
            is_list_type(get_nullable_type(definition.type)),
            own.get(LENGTH, USUAL_LENGTH),
            sizes,
            paged.default_value if paged and isinstance(paged.default_value, int) else None,
            () if paged else tuple(arguments.values()),
            inner,
        )

    def _cost(
        self, selection: _Selection, length: int | None, variables: Variables, known: dict[tuple[int, int | None], int]
    ) -> int:
        key = (id(selection), length)
        if key not in known:
            fields = sum(self._field_cost(f, length, variables, known) for f in selection.fields)
            known[key] = fields + sum(self._cost(f, length, variables, known) for f in selection.fragments)
        return known[key]

    def _field_cost(
        self, f: _Selected, length: int | None, variables: Variables, known: dict[tuple[int, int | None], int]
    ) -> int:
        if f.inner is None:
            return 0
        said = [size for node in f.sizes if (size := self._number(node, variables)) is not None]
        if said or f.default is not None:
            length = max(said, default=f.default)
        elif f.inputs:
            length = max((self._longest(value, variables) for value in f.inputs), default=0) or length
        if f.is_list:
            return (f.usual_length if length is None else length) * (1 + self._cost(f.inner, None, variables, known))
        return 1 + self._cost(f.inner, length, variables, known)

    def _number(self, node: ValueNode, variables: Variables) -> int | None:
        """The length that an argument says, None where it is left out or null."""
        if isinstance(node, VariableNode):
            name = node.name.value
            default = self._defaults.get(name)
            value = variables.get(name) if name in variables or default is None else self._number(default, variables)
            return max(value, 1) if isinstance(value, int) else None
        return max(int(node.value), 1) if isinstance(node, IntValueNode) else None

    def _longest(self, node: ValueNode, variables: Variables) -> int:
        """The length of the longest list in a value, 0 where there is none."""
        match node:
            case VariableNode():
                return _longest(variables.get(node.name.value))
            case ListValueNode():
                return len(node.values)
            case ObjectValueNode():
                return max((self._longest(f.value, variables) for f in node.fields), default=0)
            case _:
                return 0


def _extent(value: object) -> int | tuple[int]:
    """All that the cost of a request takes from the value of a variable."""
    return value if isinstance(value, int) else (_longest(value),)


def _longest(value: object) -> int:
    """As above, of a variable; an input object holds its lists directly."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, dict):
        return max((len(v) for v in value.values() if isinstance(v, list)), default=0)
    return 0


def _selections(document: DocumentNode) -> Iterator[OperationDefinitionNode | FragmentDefinitionNode | SelectionNode]:
    """Everything in a document that can have an alias or directives."""
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            yield definition
            yield from _nested(definition.selection_set.selections)


def _nested(selections: Sequence[SelectionNode]) -> Iterator[SelectionNode]:
    for node in selections:
        yield node
        inner = node.selection_set if isinstance(node, FieldNode | InlineFragmentNode) else None
        if inner:
            yield from _nested(inner.selections)
