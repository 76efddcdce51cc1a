"""The laws of the partition, on small worlds full of conflicts, and its comparison with an independent reference."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from properties.reference import closure, constraints_broken, expected, namespace_of
from properties.worlds import (
    JUNK,
    RULES,
    RULES_WITHOUT_CONFLICTS,
    SAID,
    SAID_AT_DISTINCT_TIMES,
    VALUES,
    WORLDS,
    Said,
    World,
    link,
    named,
    observe,
    observed,
)

from identity_graph.domain.evidence import CannotLink, Evidence, Key, LinkKind, Refusal, RefusalCode, gather
from identity_graph.domain.partition import Partition, partition
from identity_graph.domain.rules import Policy, Rules


def part_of(key: Key, found: Partition) -> frozenset[Key] | None:
    return next((part for part in found.profiles if key in part), None)


# --- The definition


@given(WORLDS)
def test_it_is_what_the_definition_says(world: World) -> None:
    found, wanted = partition(world.evidence, world.rules), expected(world.evidence, world.rules, {JUNK})
    assert found.profiles == wanted.profiles
    assert found.shared == wanted.shared
    assert found.refused.keys() == wanted.refused.keys()
    assert [id for id, refusal in found.refused.items() if refusal.code not in wanted.refused[id]] == []


def test_the_worlds_hold_every_kind_of_conflict() -> None:
    """A law that no world can break proves nothing."""
    met: Counter[Policy | RefusalCode] = Counter()

    @settings(max_examples=200, database=None, phases=[Phase.generate])
    @given(WORLDS)
    def look(world: World) -> None:
        codes = {refusal.code for refusal in partition(world.evidence, world.rules).refused.values()}
        met.update([world.rules.policy, *codes])

    look()
    assert [kind for kind in (*Policy, *RefusalCode) if not met[kind]] == []


@given(WORLDS)
def test_every_usable_identifier_is_in_exactly_one_profile_and_junk_in_none(world: World) -> None:
    found = partition(world.evidence, world.rules)
    members = Counter(key for part in found.profiles for key in part)
    assert members == Counter(key for key in world.evidence.identifiers if not key.endswith(f":{JUNK}"))
    assert {part for part in found.profiles if part & found.shared} == {frozenset({key}) for key in found.shared}


@given(WORLDS)
def test_every_profile_keeps_every_constraint(world: World) -> None:
    found = partition(world.evidence, world.rules)
    assert [part for part in found.profiles if constraints_broken(set(part), world.evidence, world.rules)] == []


@given(WORLDS)
def test_the_ends_of_a_refused_link_are_apart_and_the_reason_is_true(world: World) -> None:
    found = partition(world.evidence, world.rules)
    links = {link.id: link for link in world.evidence.links}
    for id, refusal in found.refused.items():
        a, b = links[id].a, links[id].b
        one, other = part_of(a, found), part_of(b, found)
        assert one is None or one != other
        assert reason_is_true(refusal, {a, b}, (one or frozenset()) | (other or frozenset()), world, found)
        assert refusal.message.endswith(".")


def reason_is_true(refusal: Refusal, ends: set[Key], both: frozenset[Key], world: World, found: Partition) -> bool:
    """The parties are what the code says. Constraints are hereditary, so the final profiles still show them."""
    parties = refusal.parties
    match refusal.code:
        case RefusalCode.BLOCKED_VALUE:
            return set(parties) == {end for end in ends if end.endswith(f":{JUNK}")} != set()
        case RefusalCode.SHARED_IDENTIFIER:
            return set(parties) == ends & found.shared != set()
        case RefusalCode.CANNOT_LINK:
            one, other = parties
            apart = [{one, other} & c.one and {one, other} & c.other for c in world.evidence.cannot_links]
            return any(apart) and set(parties) <= both
        case RefusalCode.UNIQUE_NAMESPACE:
            (namespace,) = {namespace_of(key) for key in parties}
            return world.rules.rule(namespace).unique and len(set(parties)) == 2 and set(parties) <= both
        case RefusalCode.NAMESPACE_LIMIT:
            namespace, *keys = parties
            limit = world.rules.rule(namespace).limit
            alike = {namespace_of(key) for key in keys} == {namespace}
            return limit is not None and len(set(keys)) > limit and alike and set(keys) <= both
        case RefusalCode.SIZE_CAP:
            return len(both) > world.rules.size_cap


@given(WORLDS, st.sampled_from(Policy))
def test_a_component_whose_whole_union_is_allowed_is_one_profile_in_any_order(world: World, policy: Policy) -> None:
    """The fact that the fast path of the write protocol stands on."""
    found = partition(world.evidence, replace(world.rules, policy=policy))
    ends_refused = (RefusalCode.BLOCKED_VALUE, RefusalCode.SHARED_IDENTIFIER)
    conducting = [
        link
        for link in world.evidence.links
        if link.conducts and not (link.id in found.refused and found.refused[link.id].code in ends_refused)
    ]
    for component in closure({key for part in found.profiles for key in part}, conducting):
        allowed = not constraints_broken(component, world.evidence, world.rules)
        assert (frozenset(component) in found.profiles) == allowed


# --- Order and repetition


@given(WORLDS, st.randoms(use_true_random=False))
def test_the_order_of_evidence_makes_no_difference(world: World, random) -> None:
    links = list(world.evidence.links)
    random.shuffle(links)
    assert partition(replace(world.evidence, links=tuple(links)), world.rules) == partition(world.evidence, world.rules)


@given(RULES, SAID, st.integers(0, 4), st.randoms(use_true_random=False))
def test_any_arrival_order_with_redeliveries_gives_the_same_evidence_and_partition(
    made: Rules, said: list[Said], redelivered: int, random
) -> None:
    arrived = observed(said, made)
    again = [*arrived, *arrived[:redelivered]]
    random.shuffle(again)
    first, second = gather(arrived), gather(again)
    assert (set(first.links), first.identifiers) == (set(second.links), second.identifiers)
    assert partition(first, made) == partition(second, made)


@given(RULES, SAID_AT_DISTINCT_TIMES, st.integers(0, 5))
def test_saying_it_again_later_changes_nothing_but_last_seen_and_count(
    made: Rules, rows: list[Said], which: int
) -> None:
    """Under `first_owner` whoever says it again; under `latest_owner` where the newest observation does."""
    arrived = observed(rows, made)
    newest = max(arrived, key=lambda o: o.observed_at)
    said = arrived[which % len(arrived)] if made.policy is Policy.FIRST_OWNER else newest
    again = replace(said, id="again", observed_at=newest.observed_at + 1)
    before, after = gather(arrived), gather([*arrived, again])
    assert after.identifiers == before.identifiers
    old = {link.id: link for link in before.links}
    repeated = {id for _, _, id in said.pairs}
    assert set(after.links) == {
        replace(x, last_seen=again.observed_at, count=x.count + 1) if x.id in repeated else x for x in old.values()
    }
    assert partition(after, made) == partition(before, made)


# --- Locality


def restricted(evidence: Evidence, keys: set[Key]) -> Evidence:
    links = tuple(link for link in evidence.links if link.a in keys and link.b in keys)
    return replace(evidence, identifiers=evidence.identifiers & keys, links=links)


@given(WORLDS)
def test_components_of_evidence_are_decided_independently(world: World) -> None:
    """What lets the write path resolve one component: links that do not conduct, and junk, carry no influence."""
    found = partition(world.evidence, world.rules)
    carrying = [
        link
        for link in world.evidence.links
        if link.conducts and not link.a.endswith(f":{JUNK}") and not link.b.endswith(f":{JUNK}")
    ]
    alone = [
        partition(restricted(world.evidence, component), world.rules)
        for component in closure(world.evidence.identifiers, carrying)
    ]
    assert found.profiles == frozenset().union(*(one.profiles for one in alone))
    assert found.shared == frozenset().union(*(one.shared for one in alone))
    junk = {id for id, refusal in found.refused.items() if refusal.code is RefusalCode.BLOCKED_VALUE}
    assert {id: refusal for one in alone for id, refusal in one.refused.items()} == {
        id: refusal for id, refusal in found.refused.items() if id not in junk
    }


@given(RULES, SAID, SAID)
def test_later_observations_of_other_people_change_nothing(made: Rules, said: list[Said], others: list[Said]) -> None:
    """The newest observation that comes first is the newest of its own component, not of the whole graph."""
    theirs = [([(name, f"{value}-other") for name, value in names], at + 10, source) for names, at, source in others]
    here, there = observed(said, made), observed(theirs, made, prefix="other")
    one, other, both = (partition(gather(some), made) for some in (here, there, [*here, *there]))
    assert both.profiles == one.profiles | other.profiles
    assert dict(both.refused) == {**one.refused, **other.refused}
    assert both.shared == one.shared | other.shared


@given(RULES, SAID, named(VALUES, most=3), st.integers(0, 6))
def test_new_evidence_leaves_the_components_that_it_does_not_touch(
    made: Rules, said: list[Said], names: list[tuple[str, str]], at: int
) -> None:
    arrived = observed(said, made)
    new = observe("new", names, at, made)
    before, after = gather(arrived), gather([*arrived, new])
    news = {identifier.key for identifier in new.identifiers}
    carrying = [link for link in after.links if not {link.a, link.b} & junk_of(after)]
    touched = set().union(*(group for group in closure(after.identifiers, carrying) if group & news))

    def elsewhere(found: Partition) -> tuple[set[frozenset[Key]], dict[str, Refusal]]:
        ends = {link.id: {link.a, link.b} for link in after.links}
        return (
            {part for part in found.profiles if not part & touched},
            {id: refusal for id, refusal in found.refused.items() if not ends[id] & touched},
        )

    assert elsewhere(partition(after, made)) == elsewhere(partition(before, made))


def junk_of(evidence: Evidence) -> set[Key]:
    return {key for key in evidence.identifiers if key.endswith(f":{JUNK}")}


# --- Taking back


@given(WORLDS, st.integers(1, 3))
def test_a_retracted_link_is_as_if_never_said(world: World, every: int) -> None:
    said = world.evidence.links
    chosen = {link.id for link in said[::every]}
    retracted = replace(world.evidence, links=tuple(replace(x, conducts=False) if x.id in chosen else x for x in said))
    never = replace(world.evidence, links=tuple(x for x in said if x.id not in chosen))
    assert partition(retracted, world.rules) == partition(never, world.rules)


@given(WORLDS)
def test_with_everything_retracted_everyone_is_alone(world: World) -> None:
    nothing = replace(world.evidence, links=tuple(replace(x, conducts=False) for x in world.evidence.links))
    usable = world.evidence.identifiers - junk_of(world.evidence)
    assert partition(nothing, world.rules) == Partition(frozenset(frozenset({k}) for k in usable), {}, frozenset())


SIDES = [st.lists(st.tuples(named(v), st.integers(0, 5), st.just("web")), min_size=1, max_size=3) for v in ("ab", "yz")]


@st.composite
def two_groups_and_a_bridge(draw: st.DrawFn) -> tuple[Rules, Evidence, Evidence, str]:
    """Evidence without conflicts, the same with one more link that merges two profiles of it, and that link's id."""
    made = draw(RULES_WITHOUT_CONFLICTS)
    sides = [observed(draw(said), made, prefix) for prefix, said in zip("ab", SIDES, strict=True)]
    ends = [draw(st.sampled_from([i.key for o in side for i in o.identifiers])) for side in sides]
    bridge = link(*ends, draw(st.sampled_from(LinkKind)), draw(st.integers(0, 9)), weight=9.0)
    apart = gather([o for side in sides for o in side])
    merged = replace(apart, links=(*apart.links, bridge))
    assume(not partition(apart, made).refused)
    assume(not partition(merged, made).refused)
    return made, apart, merged, bridge.id


@given(two_groups_and_a_bridge())
def test_a_split_after_a_merge_restores_the_parts(case: tuple[Rules, Evidence, Evidence, str]) -> None:
    made, apart, merged, bridge = case
    before, after = partition(apart, made), partition(merged, made)
    assert len(after.profiles) == len(before.profiles) - 1

    retracted = replace(merged, links=tuple(replace(x, conducts=x.id != bridge) for x in merged.links))
    assert partition(retracted, made) == before

    (pair,) = ((x.a, x.b) for x in merged.links if x.id == bridge)
    one, other = (frozenset((key,)) for key in pair)
    kept_apart = partition(replace(merged, cannot_links=frozenset({CannotLink("c", one, other)})), made)
    assert kept_apart == replace(before, refused={bridge: Refusal(RefusalCode.CANNOT_LINK, pair)})


@given(two_groups_and_a_bridge(), st.data())
def test_any_pair_kept_apart_splits_the_merge_between_them(
    case: tuple[Rules, Evidence, Evidence, str], data: st.DataObject
) -> None:
    """A steward names two identifiers, rarely the ends of the one link that merged them."""
    made, apart, merged, _ = case
    (whole,) = partition(merged, made).profiles - partition(apart, made).profiles
    pairs = [set(pair) for pair in combinations(sorted(whole), 2) if crosses(pair, partition(apart, made).profiles)]
    one, other = data.draw(st.sampled_from(pairs))
    word = CannotLink("c", frozenset((one,)), frozenset((other,)))
    found = partition(replace(merged, cannot_links=frozenset({word})), made)
    assert [part for part in found.profiles if {one, other} <= part] == []
    assert {refusal.code for refusal in found.refused.values()} == {RefusalCode.CANNOT_LINK}


@given(two_groups_and_a_bridge(), st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=3))
def test_whole_sides_kept_apart_are_what_was_before_the_merge(
    case: tuple[Rules, Evidence, Evidence, str], more: list[tuple[int, int]]
) -> None:
    """Also where more evidence joins them afterwards; a pair of them would leave the rest to the order of the links."""
    made, apart, merged, _ = case
    before = partition(apart, made)
    (whole,) = partition(merged, made).profiles - before.profiles
    one, other = (part for part in before.profiles if part <= whole)
    across = [
        link(sorted(one)[a % len(one)], sorted(other)[b % len(other)], LinkKind.OBSERVED, 99 + n)
        for n, (a, b) in enumerate(more)
    ]
    new = {made_now.id: made_now for made_now in across if made_now.id not in {x.id for x in merged.links}}
    later = replace(merged, links=(*merged.links, *new.values()), cannot_links=frozenset({CannotLink("c", one, other)}))
    assert partition(later, made).profiles == before.profiles


def crosses(pair: tuple[Key, Key], profiles: Iterable[frozenset[Key]]) -> bool:
    return not any(set(pair) <= part for part in profiles)
