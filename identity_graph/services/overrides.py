"""A person's word on a trait: it comes before what all records say, until it is taken back.

It is anchored by the profile's strongest identifier, as a record is, so it goes where the person goes when profiles
merge or split.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from identity_graph.domain.assignment import standing
from identity_graph.domain.rules import Rules
from identity_graph.domain.traits import says_nothing
from identity_graph.services.live import show_again
from identity_graph.services.observe import Clock, new_id
from identity_graph.services.stewardship import Declined
from identity_graph.store.errors import StaleRead
from identity_graph.store.graph import Graph, Transaction

STEWARD = "steward"
MAX_NAME = 256
#: Bytes of JSON, as of a record's trait.
MAX_VALUE = 16 * 1024


@dataclass(frozen=True, slots=True)
class Override:
    """What is said of a trait, by whom and why; without a value it is taken back."""

    trait: str
    value: Any
    actor: str
    reason: str


class Overrides:
    """Sets and takes back people's words on traits."""

    def __init__(self, graph: Graph, rules: Rules, clock: Clock) -> None:
        self._graph, self._rules, self._clock = graph, rules, clock

    def apply(
        self, profile: str, said: Override, *, expected_version: int | None = None, dry_run: bool = False
    ) -> tuple[str, str]:
        """Let a profile show this value; the id of the profile, and a consistency token.

        Raises :class:`Declined` and a :class:`StoreError`.
        """
        if not 1 <= len(said.trait) <= MAX_NAME or not said.trait.isprintable():
            raise Declined("INVALID_TRAIT", f"The name of a trait has 1 to {MAX_NAME} printable characters.")
        if said.value is not None and says_nothing(said.value):
            raise Declined("INVALID_VALUE", "A blank text says nothing; remove the override instead.")
        if len(orjson.dumps(said.value)) > MAX_VALUE:
            raise Declined("PAYLOAD_TOO_LARGE", f"A value has at most {MAX_VALUE} bytes of JSON.")
        return self._graph.write(lambda tx: self._write(tx, profile, said, expected_version), dry_run=dry_run)

    def _write(self, tx: Transaction, profile: str, said: Override, expected_version: int | None) -> str:
        rows = tx.run("override/profile", id=profile)
        if not rows:
            raise Declined("UNKNOWN_PROFILE", f"There is no profile {profile}.")
        element = rows[0][1]
        tx.one("profile/lock", elements=[element])
        ((id, held, version, members),) = tx.run("override/profile", id=profile)
        if held != element:
            raise StaleRead("the profile was just merged")
        if expected_version not in (None, version):
            raise Declined("CONFLICT", f"The profile {id} has version {version} by now; look at it again.")
        at, by = self._clock(), {"actor": said.actor, "reason": said.reason}
        ended = tx.one("override/end", element=element, trait=said.trait, at=at, **by)
        if said.value is None and not ended:
            raise Declined("NO_OVERRIDE", f"Nobody set the trait {said.trait} of this profile.")
        traits = {} if said.value is None else {said.trait: said.value}
        if traits:
            *_, anchor = min(members, key=lambda m: standing(m[0], m[1], self._rules))
            text = orjson.dumps(traits, option=orjson.OPT_SORT_KEYS).decode()
            tx.do("override/set", id=new_id(), trait=said.trait, traits=text, at=at, anchor=anchor, **by)
        show_again(tx, [element], self._rules, at, [(STEWARD, traits)])
        return id
