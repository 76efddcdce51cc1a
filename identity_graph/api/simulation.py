"""What if: the profiles by other rules, or with more observations, without writing anything."""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, cast

import strawberry

from identity_graph.api.errors import BadInput
from identity_graph.api.inputs import ObservationInput
from identity_graph.api.keys import Scope
from identity_graph.api.limits import LENGTH
from identity_graph.api.types import Info, Profile
from identity_graph.domain.evidence import Observation, RefusalCode
from identity_graph.domain.intake import Rejection, parse_observation
from identity_graph.services.active_rules import OtherRules
from identity_graph.services.apply_rules import expect_applicable
from identity_graph.services.rules_file import RulesFileError, parse_rules
from identity_graph.services.simulation import MOST_AFFECTED, Affected, Simulation, simulate
from identity_graph.services.submit import now

MAX_OBSERVATIONS = 500
#: Links that are read and resolved well within a request's time; the command line takes any number.
MAX_LINKS = 100_000
#: One at a time: each holds the whole graph in memory.
_one = asyncio.Lock()


@strawberry.input
class SimulateInput:
    observations: list[ObservationInput] = strawberry.field(
        default_factory=list[ObservationInput], description="Had these been made too, 500 at most; new ones."
    )
    rules: str | None = strawberry.field(
        default=None, description="A rules file in TOML, instead of the rules that the graph follows."
    )


@strawberry.type(description="How many there are and would be.")
class NowAndThen:
    now: int
    then: int

    @classmethod
    def of(cls, pair: tuple[int, int]) -> "NowAndThen":
        return cls(now=pair[0], then=pair[1])


@strawberry.type
class RefusalsNowAndThen:
    code: RefusalCode
    links: NowAndThen


@strawberry.type(description="A profile of today, and what would become of it.")
class AffectedProfile:
    profile: Profile
    size: int = strawberry.field(description="Identifiers now.")
    parts: int = strawberry.field(description="The profiles that these would be in.")
    others: int = strawberry.field(description="The profiles of today that would be one with any of those.")

    @classmethod
    def of(cls, found: Affected) -> "AffectedProfile":
        profile = Profile(id=strawberry.ID(found.id))
        return cls(profile=profile, size=found.size, parts=found.parts, others=found.others)


@strawberry.type(description="What would change. Nothing was written.")
class Simulated:
    merges: int = strawberry.field(description="Profiles of today that would end in others.")
    splits: int = strawberry.field(description="Parts that would come off profiles of today.")
    profiles: NowAndThen
    shared_identifiers: NowAndThen
    junk_values: NowAndThen
    refused_links: list[RefusalsNowAndThen] = strawberry.field(metadata={LENGTH: len(RefusalCode)})
    most_affected: list[AffectedProfile] = strawberry.field(
        description=f"{MOST_AFFECTED} at most, those that change most first.", metadata={LENGTH: MOST_AFFECTED}
    )

    @classmethod
    def of(cls, found: Simulation) -> "Simulated":
        return cls(
            merges=found.merges,
            splits=found.splits,
            profiles=NowAndThen.of(found.profiles),
            shared_identifiers=NowAndThen.of(found.shared),
            junk_values=NowAndThen.of(found.junk),
            refused_links=[
                RefusalsNowAndThen(code=RefusalCode(code), links=NowAndThen.of(pair))
                for code, pair in found.refused.items()
            ],
            most_affected=[AffectedProfile.of(one) for one in found.affected],
        )


@strawberry.type(description="It was not worked out; `code` says why, and `path` leads to the field.")
class SimulationRefused:
    code: str
    message: str
    path: list[str]


SimulationOutcome = Annotated[Simulated | SimulationRefused, strawberry.union("SimulationOutcome")]


@strawberry.type
class SimulationQuery:
    @strawberry.field(
        description="The partition of all evidence by other rules, or with more observations, in memory. For graphs of "
        f"{MAX_LINKS:,} links at most; `identity-graph rules apply --dry-run` takes any. Needs the scope `write`."
    )
    async def simulate(self, info: Info, input: SimulateInput) -> SimulationOutcome:
        info.context.require(Scope.WRITE)
        if len(input.observations) > MAX_OBSERVATIONS:
            raise BadInput(f"observations has at most {MAX_OBSERVATIONS} items, this one has {len(input.observations)}")
        services = info.context.services
        try:
            rules = services.rules if input.rules is None else parse_rules(input.rules)
        except RulesFileError as e:
            p = e.problems[0]
            where = f"line {p.line}: " if p.line else ""
            path = ["rules", p.key] if p.key else ["rules"]
            return SimulationRefused(code=p.code, message=f"{where}{p.message}. {p.advice}", path=path)
        observations: list[Observation] = []
        for number, raw in enumerate(cast(list[Mapping[str, Any]], input.observations)):
            taken = parse_observation(raw, rules, now())
            if isinstance(taken, Rejection):
                path = ["observations", str(number), *map(str, taken.path)]
                return SimulationRefused(code=taken.code, message=taken.message, path=path)
            observations.append(taken)
        async with _one:
            ((counts,),) = await asyncio.to_thread(services.graph.read, "verify/counts")
            if counts["links"] > MAX_LINKS:
                message = f"the graph has {counts['links']:,} links, more than {MAX_LINKS:,}; use the command line"
                return SimulationRefused(code="TOO_LARGE", message=message, path=[])
            try:
                await asyncio.to_thread(expect_applicable, services.graph, rules)
            except OtherRules as e:
                return SimulationRefused(code="RULES_NOT_APPLICABLE", message=str(e), path=["rules"])
            found = await asyncio.to_thread(simulate, services.graph, rules, observations)
        return Simulated.of(found)
