"""What stewards ask and do, over HTTP on the large graph: explain, page through a lineage, look back, undo, split,
retract."""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from random import Random

import orjson

from bench import product
from bench.harness import Figure, no_graphql_errors, percentiles, post
from bench.product import Service, all_accepted, ask, submit_links
from bench.resolve import build_profile
from bench.run import LINEAGE_SEED, Run
from bench.streams import Key

#: Identifiers of each of two profiles whose merge is undone, and of a giant that is split in two.
HALF, GIANT = 50, 1000
#: Entries of the lineage of somebody whose profile took in so many others, and those of a page.
ENTRIES, A_PAGE = 120, 50
#: So many times the acts that are measured come before them.
WARMING = 4
#: Files that are ingested with lineage, and as many without.
TURNS = 2
#: Observations of one link that are taken back, and those that one call takes back.
OF_A_LINK, A_CALL = 500, 500
_RETRACT = """mutation($input: RetractInput!) { retract(input: $input) {
    retracted remaining outcome { __typename ... on ChangeRefused { code } } } }"""
_CHANGE = re.compile(rb'"changes":\[\{"id":"([^"]+)","kind":"MERGED"\}\]')


def measure(run: Run) -> list[Figure]:
    service = run.service

    def p50(requests: Iterable[bytes], accept: Callable[[int, bytes], bool] = no_graphql_errors) -> float:
        return run.times(service, cycle(requests), accept).p50

    run.say("explaining connections")
    explained = [p50(_explain(build_tree(service, size)), _connected) for size in (100, GIANT)]
    run.say("pages of a lineage")
    person = _much_merged(service)
    page = p50([_page(person)], _full)
    run.say("looking up now and as of a moment")
    members = build_profile(service, 10)
    moment = datetime.now(UTC).isoformat()
    now, then = (p50([_person(key, at) for key in members]) for at in (None, moment))
    run.say(f"undoing merges of two profiles of {HALF}")
    undone = map(_undo, _merges(service, (WARMING + 1) * run.sizes.acts))
    service.load(islice(undone, WARMING * run.sizes.acts), accept=_changed)
    undo = percentiles(service.load(undone, accept=_changed).latencies).p50
    run.say(f"splitting giants of {GIANT:,}")
    split = percentiles(service.load(_splits(service, run.sizes.acts), accept=_changed).latencies).p50
    run.say("retracting a source and a link")
    retracted = _of_a_source(service, run.sizes.retracted), _of_a_link(service)
    run.say("ingest with and without lineage, in turns")
    cost = _cost(run)
    return [
        Figure("explain a connection in a profile of 100, p50", explained[0], "ms", at_most=10),
        Figure(f"explain a connection in a profile of {GIANT:,}, p50", explained[1], "ms", at_most=60),
        Figure(f"a page of {A_PAGE} of a lineage, p50", page, "ms", at_most=10),
        Figure(f"undo of a merge of two profiles of {HALF}, p50", undo, "ms", at_most=50),
        Figure(f"split of a profile of {GIANT:,} in two, p50", split, "ms", at_most=500),
        Figure("retraction of a source, per 1,000 observations", retracted[0], "s"),
        Figure(f"retraction of a link of {OF_A_LINK}, per 1,000 observations", retracted[1], "s"),
        Figure("Customer360 now, p50", now, "ms", at_most=15),
        Figure("Customer360 as of a moment against now", then / now, "×", at_most=3),
        Figure("ingest with lineage against without, time", cost, "×", at_most=1.15),
    ]


def _of_a_source(service: Service, many: int) -> float:
    """Seconds per 1,000 observations of a source that are taken back. Each saw a card with a device that was known with
    a cookie of its own, and each card was seen with two: to take them back takes people apart, and forgets cards.
    """
    known: list[bytes] = []
    wrong: list[bytes] = []
    for n in range(many):
        device = {"namespace": "device_id", "value": f"wrong-{n}"}
        known.append(_line(f"known-{n}", [{"namespace": "cookie_id", "value": f"wrong-{n}"}, device]))
        card = {"namespace": "loyalty_id", "value": f"wrong-{n // 2}"}
        wrong.append(_line(f"wrong-{n}", [card, device], "wrong"))
    service.load(_lists(known + wrong), accept=all_accepted)
    return _retraction(service, many, source="wrong")


def _of_a_link(service: Service) -> float:
    """The same of one link."""
    ends = [{"namespace": "cookie_id", "value": "one-link"}, {"namespace": "device_id", "value": "one-link"}]
    service.load(_lists([_line(f"link-{n}", ends) for n in range(OF_A_LINK)]), accept=all_accepted)
    links: list[str] = []

    def accept(status: int, body: bytes) -> bool:
        links.extend(link["id"] for link in orjson.loads(body)["data"]["explainConnection"]["path"])
        return no_graphql_errors(status, body)

    service.load([ask("ExplainConnection", **{"from": ends[0], "to": ends[1]})], accept=accept)
    return _retraction(service, OF_A_LINK, linkId=links[0])


def _retraction(service: Service, many: int, **observations: str) -> float:
    given = {"observations": observations, "reason": "it was wrong", "first": A_CALL}
    request = post("/graphql", {"query": _RETRACT, "variables": {"input": given}})
    load = service.load([request] * -(-many // A_CALL), accept=_changed)
    return 1000 * load.seconds / many


def _cost(run: Run) -> float:
    """The time that an observation takes with its lineage, as a multiple of what it takes without."""
    rows = run.sizes.warm // TURNS
    files = run.streams(LINEAGE_SEED, **{f"lineage-{turn}": rows for turn in range(2 * TURNS)})
    seconds = {True: 0.0, False: 0.0}
    for turn, file in enumerate(files):
        kept = turn % 2 == 0
        program = () if kept else (sys.executable, "-m", "bench.without_lineage")
        seconds[kept] += product.ingest(file, rows, run.large.data_dir, program).seconds
    return seconds[True] / seconds[False]


def build_tree(service: Service, size: int) -> list[Key]:
    """A person each of whose devices was seen with one of those before it, drawn with a fixed seed."""
    draw = Random(size)
    devices = [{"namespace": "device_id", "value": f"tree-{size}-{n}"} for n in range(size)]
    lines = [_line(f"tree-{size}-{n}", [devices[draw.randrange(n)], devices[n]]) for n in range(1, size)]
    service.load(_lists(lines), accept=all_accepted)
    return devices


def build_chain(service: Service, size: int, name: str) -> list[Key]:
    """A person each of whose devices was seen with the next one only."""
    devices = [{"namespace": "device_id", "value": f"{name}-{size}-{n}"} for n in range(size)]
    lines = [_line(f"{name}-{size}-{n}", devices[n : n + 2]) for n in range(size - 1)]
    service.load(_lists(lines), accept=all_accepted)
    return devices


def _much_merged(service: Service) -> str:
    """Somebody whose cookies became known one by one before a login joined them; the login's profile."""
    login = {"namespace": "user_id", "value": "merged"}
    cookies = [{"namespace": "cookie_id", "value": f"merged-{n}"} for n in range(ENTRIES)]
    alone = [_line(f"merged-alone-{n}", [cookie]) for n, cookie in enumerate(cookies)]
    joined = [_line(f"merged-{n}", [login, cookie]) for n, cookie in enumerate(cookies)]
    service.load(_lists(alone), accept=all_accepted)
    # Together they would be one merge.
    service.load([submit_links([line]) for line in joined], accept=all_accepted)
    return _profiles(service, [_person(login)])[0]


def _merges(service: Service, many: int) -> list[bytes]:
    """The ids of so many merges of two profiles, each of a card and the cookies that it was seen with."""
    found: list[bytes] = []
    for n in range(many):
        ends: list[Key] = []
        for side in "ab":
            card = {"namespace": "loyalty_id", "value": f"half-{n}-{side}"}
            lines = [
                _line(f"half-{n}-{side}-{i}", [card, {"namespace": "cookie_id", "value": f"half-{n}-{side}-{i}"}])
                for i in range(HALF - 1)
            ]
            service.load([submit_links(lines)], accept=all_accepted)
            ends.append(card)

        def accept(status: int, body: bytes) -> bool:
            match = _CHANGE.search(body)
            if match:
                found.append(match[1])
            return all_accepted(status, body) and match is not None

        service.load([submit_links([_line(f"half-{n}", ends)])], accept=accept)
    return found


def _splits(service: Service, many: int) -> list[bytes]:
    """So many requests that each split a giant in its middle."""
    requests: list[bytes] = []
    for n in range(many):
        devices = build_chain(service, GIANT, f"giant-{n}")
        (profile,) = _profiles(service, [_person(devices[0])])
        given = {"profileId": profile, "identifiers": devices[GIANT // 2 :], "reason": "two people"}
        requests.append(ask("SplitProfile", input=given))
    return requests


def _profiles(service: Service, requests: Iterable[bytes]) -> list[str]:
    found: list[str] = []

    def accept(status: int, body: bytes) -> bool:
        found.append(orjson.loads(body)["data"]["profileByIdentifier"]["id"])
        return no_graphql_errors(status, body)

    service.load(requests, accept=accept)
    return found


# ------------------------------------------------------------------------------------------------ requests


def _line(id: str, identifiers: Sequence[Key], source: str = "web") -> bytes:
    return orjson.dumps({"id": id, "source": source, "identifiers": identifiers})


def _lists(lines: list[bytes], size: int = 500) -> list[bytes]:
    return [submit_links(lines[at : at + size]) for at in range(0, len(lines), size)]


def _explain(members: Sequence[Key]) -> list[bytes]:
    """From the first device to some of the last ones."""
    return [ask("ExplainConnection", **{"from": members[0], "to": members[-n]}) for n in range(1, 20)]


def _page(profile: str) -> bytes:
    return ask("MergeLineage", profileId=profile, first=A_PAGE)


def _person(key: Key, as_of: str | None = None) -> bytes:
    return ask("Customer360", identifier=key, asOf=as_of)


def _undo(change: bytes) -> bytes:
    return ask("UndoChange", input={"changeId": change.decode(), "reason": "two people"})


def _full(status: int, body: bytes) -> bool:
    return no_graphql_errors(status, body) and body.count(b'"node":') == A_PAGE


def _connected(status: int, body: bytes) -> bool:
    return no_graphql_errors(status, body) and b'"connected":true' in body


def _changed(status: int, body: bytes) -> bool:
    return no_graphql_errors(status, body) and b'"ProfileChanged"' in body
