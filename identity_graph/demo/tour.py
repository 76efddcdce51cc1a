"""The order in which the demonstration asks and shows: once for the shipped story, once for anybody's own files."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console, RenderableType
from rich.markup import escape

from identity_graph.app import CannotServe
from identity_graph.demo import showing
from identity_graph.demo.loading import Load, glued, observations, withheld
from identity_graph.demo.matched import learn, match
from identity_graph.demo.service import Client, Json, Key, Record
from identity_graph.demo.showing import Chapters, LinkLine, RefusalLine, called, day, short
from identity_graph.domain.evidence import RefusalCode
from identity_graph.domain.rules import RECORD_NAMESPACE, Rules
from identity_graph.services.ingest import totals
from identity_graph.store.graph import Graph
from matching.errors import MatchingError

MANY = 1_000
#: Of the star of the story the account knows the plan, and the phone what was bought in the app.
SEGMENT: Json = {
    "name": "app_buyers_on_the_free_plan",
    "description": "Who bought in the app, and may like to hear of the paid plan.",
    "rule": {
        "all": [
            {"trait": {"name": "plan", "equals": "free"}},
            {"identifiers": {"namespaceClass": "DEVICE", "atLeast": 1}},
            {"trait": {"name": "lifetime_value", "atLeast": 40}},
        ]
    },
    "dryRun": False,
}
#: Identifiers of a graph whose whole evidence is read once more, to tell what it would glue together.
FEW = 200_000
#: Of the records at least so many must be profiles of their own before identifiers count as linking little.
ENOUGH = 0.9


class Tour:
    """Everything that a chapter needs."""

    def __init__(self, out: Console, client: Client, graph: Graph, rules: Rules, load: Load) -> None:
        self.out, self.client, self.graph, self.rules, self.load = out, client, graph, rules, load
        self.chapters = Chapters(out)

    def loaded(self, title: str) -> None:
        self.out.print("[bold]Identity Graph[/]: which identifiers are the same person?")
        self.out.print(f"[dim]What follows is answered by the service that runs now at {self.client.address}[/]")
        self.chapters.begin(title)
        self.out.print(*showing.loaded(self.load, *totals(self.graph)), sep="\n")

    def evidence(self, profile: Json, title: str) -> None:
        """Why the identifiers of a profile are one person, and what was refused in the whole graph."""
        self.chapters.begin(title)
        members = [f"{e['node']['namespace']}:{e['node']['value']}" for e in profile["identifiers"]["edges"]]
        self.out.print(showing.links([link for link in self.links(members) if link.state == "ACTIVE"]))
        refusals = [RefusalLine(*row) for row in self.graph.read("link/refusals")]
        if refusals:
            self.out.print("\nNo link is dropped silently. Those that must not join people are kept, with the reason:")
            self.out.print(showing.refusals(refusals))

    def devices(self, device: Key) -> Json:
        """Whose a device is, and what else they use. Returns the owner's profile."""
        self.chapters.begin("Across devices: whose device is this, and what else do they use?")
        found = self.client.devices(device)
        owner = self.client.person(device)
        self.out.print(f"[bold]{device}[/] is {called(owner)}'s. Answered in {self.client.seconds * 1000:.0f} ms.")
        self.out.print(showing.devices(found))
        return owner

    def not_glued(self, shared: Key, users: Sequence[str], one: str, many: str) -> None:
        """How many profiles those have who were seen with a shared identifier, and how many they would have.

        ``users`` are their identifiers, all of one namespace, of which ``one`` and ``many`` are the words.
        """
        statuses = self.client.statuses([Key.of(user) for user in users])
        people = {found["profile"]["id"] for found in statuses if found["profile"]}
        compared = showing.table("", showing.number("profiles"), "")
        each = f"one {one} in each" if len(people) == len(users) else ""
        compared.add_row(f"these {many}, by the rules", f"[green]{len(people)}[/]", f"[green]{each}[/]")
        if totals(self.graph)[0] <= FEW:
            blob = glued(observations(self.load), str(shared), self.rules)
            strangers = sum(Key.of(key).namespace == Key.of(users[0]).namespace for key in blob)
            compared.add_row(
                "if every link were believed", "[red]1[/]", f"[red]{len(blob):,} identifiers, {strangers:,} {many}[/]"
            )
        self.out.print(compared)

    def lineage(self, profile: Json, title: str) -> None:
        self.chapters.begin(title)
        self.out.print(showing.lineage(self.client.lineage(profile, showing.MOST)))

    def links(self, keys: Sequence[str]) -> list[LinkLine]:
        ((found,),) = self.graph.read("link/around", keys=keys, limit=MANY)
        return [LinkLine(*row) for row in found]

    def invite(self, person: Json, by: Key | None) -> None:
        """Where to look at that person oneself, found by an identifier or by the profile's id."""
        self.chapters.begin("Look around yourself")
        self.out.print(*showing.invitation(self.client.address, person["id"], by), sep="\n")


# ---------------------------------------------------------------------------------------------- the shipped story


def tell(tour: Tour, story: Json, models: Path) -> None:
    """The people and devices that `story.json` names. Models are kept in the folder ``models``."""
    tour.loaded("Five sources of one retailer, loaded into one graph")
    star = story["many_identifiers"]
    account = Key(**star["account"])
    waiting = _waiting(tour, account)
    _joined(tour, withheld(star["joining_observation"]))
    person = tour.client.person(account)
    _entered(tour, person, waiting)
    tour.evidence(person, "Why these are one person: the evidence")
    family = story["family_tablet"]
    _shop_tablet(tour, Key(**story["shop_tablet"]["device"]))
    _family_tablet(tour, Key(**family["device"]), [Key(**user) for user in family["users"]])
    tour.lineage(person, f"How {called(person)}'s profile came to be, newest first")
    _devices(tour, Key(**story["cross_device"]["device"]))
    _no_shared_identifier(tour, story["same_person_no_shared_identifier"], models)
    _father_and_son(tour, story["father_and_son"])
    tour.invite(person, account)


def _joined(tour: Tour, last: Json) -> None:
    """One observation joins two profiles: as they were a moment before it, and the one that is left."""
    tour.chapters.begin("One event, and two profiles turn out to be one person")
    keys = [Key(**identifier) for identifier in last["identifiers"]]
    result = tour.client.submit(last)
    took = tour.client.seconds
    merge = next(change["id"] for change in result["changes"] if change["kind"] == "MERGED")
    after = tour.client.person(keys[0])
    edges = tour.client.lineage(after, 100)["edges"]
    at = datetime.fromisoformat(next(edge["node"]["at"] for edge in edges if edge["node"]["id"] == merge))
    _apart(tour, keys, at)
    tour.out.print(f"Then the {last['source']} sees {_both(keys)} together, on {day(last['observedAt'])}.")
    again = ", as in an earlier run" if result["duplicate"] else ""
    sent = f"Sent by SubmitLinks, answered in {took * 1000:.0f} ms{again}."
    tour.out.print(f"[dim]{sent} What was before, `asOf` tells.[/]")
    tour.out.print(showing.profile("After", after))
    tour.out.print(showing.golden(after))


def _apart(tour: Tour, keys: Sequence[Key], at: datetime) -> None:
    """The two profiles as they were just before a moment."""
    before = [tour.client.person(key, (at - timedelta(microseconds=1)).isoformat()) for key in keys]
    tour.out.print(showing.side_by_side(*(showing.profile("Before", profile, 49) for profile in before)))


def _both(keys: Sequence[Key]) -> str:
    return " and ".join(f"[bold]{escape(str(key))}[/]" for key in keys)


def _waiting(tour: Tour, account: Key) -> tuple[int, Json]:
    """The size of the segment, and what it says of the person before the event that joins them."""
    size = tour.client.segment(SEGMENT)["size"]
    return size, tour.client.membership(SEGMENT["name"], tour.client.person(account)["id"])


def _entered(tour: Tour, person: Json, waiting: tuple[int, Json]) -> None:
    tour.chapters.begin("By that same event, the person enters a segment")
    size, before = waiting
    after = tour.client.membership(SEGMENT["name"], person["id"])
    now = tour.client.segment(SEGMENT)["size"]
    name = called(person)
    tour.out.print(f"[bold]{SEGMENT['name']}[/] was defined before, and counted {size:,} people.")
    if before["isMember"]:
        tour.out.print(f"{name} is one of them since an earlier run, as every condition holds:")
    else:
        tour.out.print(
            f"Neither the account nor the phone met its conditions. Their profile does: it counts {now:,} now, with "
            f"{name}, changed in the same transaction as the merge."
        )
    tour.out.print(showing.membership(before, after))


def _shop_tablet(tour: Tour, tablet: Key) -> None:
    tour.chapters.begin("Shared devices do not glue people together")
    users = _seen_with(tour, tablet)
    status = tour.client.statuses([tablet])[0]["status"]
    tour.out.print(
        f"{len(users)} customers' accounts were used on [bold]{tablet}[/], which stands in a shop. The evidence gives "
        f"it away: its status is [bold yellow]{status}[/], and none of its links joins anybody."
    )
    tour.not_glued(tablet, users, "account", "accounts")


def _seen_with(tour: Tour, shared: Key) -> list[str]:
    """The identifiers that one was seen with."""
    return sorted({end for link in tour.links([str(shared)]) for end in (link.a, link.b)} - {str(shared)})


def _family_tablet(tour: Tour, tablet: Key, users: Sequence[Key]) -> None:
    holder = tour.client.person(tablet)
    one, other = (called(tour.client.person(user)) for user in users)
    tour.out.print(
        f"\n{one} and {other} share [bold]{tablet}[/] at home. It counts as {called(holder)}'s; "
        "the other's links are kept, but join nobody:"
    )
    pairs = [{str(tablet), str(user)} for user in users]
    found = [link for link in tour.links([str(tablet)]) if {link.a, link.b} in pairs]
    tour.out.print(*showing.judged(found), sep="\n")


def _devices(tour: Tour, phone: Key) -> None:
    owner = tour.devices(phone)
    tour.out.print(f"\nWhat {called(owner)} did on them, newest first: one journey, whichever device it was on.")
    tour.out.print(*showing.journey(tour.client.journey(owner["id"], showing.MOST)), sep="\n")


def _no_shared_identifier(tour: Tour, story: Json, models: Path) -> None:
    """A card and an account that only names, dates and places connect."""
    tour.chapters.begin("No identifier in common, and still one person? What matching says")
    with Console(stderr=True).status("learning") as status:
        model = learn(tour.graph, tour.rules, models, status.update)
    card, account = (Key(**story[what]) for what in ("crm", "account"))
    before = (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=model.since - 1)).isoformat()
    pair = [tour.client.person(key, before) for key in (card, account)]
    told = showing.table(*map(showing.brief, ("", "profile", "born", "e-mail", "postcode")))
    for key, profile in zip((card, account), pair, strict=True):
        values = (showing.trait(profile, name) or "" for name in ("dob", "email", "postcode"))
        told.add_row(f"{called(profile)}, {key}", short(profile["id"]), *values)
    tour.out.print(told)
    took = f" ({model.learning:.1f} s, then {model.matching:.1f} s to match all)" if model.learning else ""
    tour.out.print(f"A model that the graph's own records trained{took} compares what they say:\n")
    proposal = _proposal(tour, {profile["id"] for profile in pair})
    links = [proposal["link"]] if proposal else tour.client.explained(card, account)["path"]
    link = next((link for link in links if link["evidence"]), None)
    if link is None:
        raise CannotServe(f"the model says nothing of {card} and {account}: start over with new data")
    weight = proposal["matchWeight"] if proposal else link["evidence"]["matchWeight"]
    tour.out.print(_waterfall("their records", link["evidence"]["levels"], weight))
    if proposal:
        _proposed(tour, proposal)
    else:
        tour.out.print("\nThat is enough: they are [bold green]one profile[/] now, by a link that tells its evidence.")
        _doubtful(tour)


def _waterfall(title: str, levels: Sequence[Json], weight: float) -> RenderableType:
    told = [(level["comparison"], level["level"], level["matchWeight"]) for level in levels]
    return showing.waterfall(title, told, weight)


def _proposed(tour: Tour, proposal: Json) -> None:
    tour.out.print(f"\nToo little to merge by itself: it is [bold yellow]proposed[/], as {proposal['id']}, and a "
                   "person decides with DecideProposal.")  # fmt: skip


def _doubtful(tour: Tour) -> None:
    """Of what the model proposes, the surest pair of records of two sources that no rule would keep apart."""
    for proposal in tour.client.proposals():
        records = [Key(**proposal["link"][end]) for end in ("from", "to")]
        if not proposal["blockedBy"] and len({record.value.partition("/")[0] for record in records}) > 1:
            break
    else:
        tour.out.print("\nOf no two records of two sources it is in doubt.")
        return
    tour.out.print("\nOf others it is less sure. The surest of them in two sources:\n")
    told = showing.table(*map(showing.brief, ("", "profile", "born", "e-mail")))
    for record in records:
        profile = tour.client.person(record)
        values = (showing.trait(profile, name) or "" for name in ("dob", "email"))
        told.add_row(f"{called(profile)}, {escape(record.value)}", short(profile["id"]), *values)
    tour.out.print(told)
    tour.out.print(_waterfall("their records", proposal["link"]["evidence"]["levels"], proposal["matchWeight"]))
    _proposed(tour, proposal)


def _proposal(tour: Tour, profiles: set[str]) -> Json | None:
    if len(profiles) == 1:
        return None
    found = tour.client.proposals()
    return next((one for one in found if {profile["id"] for profile in one["profiles"]} == profiles), None)


def _father_and_son(tour: Tour, story: Json) -> None:
    tour.chapters.begin("Father and son: one name, one address, one landline, two people")
    pair = [tour.client.person(Key(**story[who])) for who in ("father", "son")]
    told = showing.table(*map(showing.brief, ("", "profile", "born", "e-mail", "lives in", "landline")))
    for who, profile in zip(("father", "son"), pair, strict=True):
        home = f"{showing.trait(profile, 'street')} {showing.trait(profile, 'house_number')}"
        values = (showing.trait(profile, name) or "" for name in ("dob", "email"))
        told.add_row(
            f"{called(profile)}, {who}", short(profile["id"]), *values, home, showing.trait(profile, "phone") or ""
        )
    tour.out.print(told)
    tour.out.print("Their customer numbers differ, and crm_id is unique: the shared landline cannot join them.")
    cards = (Record("crm", story[who]["value"]) for who in ("father", "son"))
    scored = tour.client.scored(*cards)
    weight = scored["matchWeight"]
    misled = "would be misled, were it not for that rule" if weight > 0 else "is not misled by one name and one home"
    tour.out.print(f"The model {misled}:\n")
    tour.out.print(_waterfall("their cards", scored["levels"], weight))


# ---------------------------------------------------------------------------------------------- one's own files


def look(tour: Tour, into: Path) -> None:
    """What is worth seeing in any graph. What matching writes goes into the folder ``into``."""
    tour.loaded("Your files, loaded into one graph")
    tour.out.print(showing.recognised(tour.load.files))
    found = tour.graph.read("profile/richest")
    if not found:
        raise CannotServe("no row of these files could be taken; the reasons stand beside them, see above")
    member = Key.of(found[0][0])
    person = tour.client.person(member)
    tour.chapters.begin("The person whom most sources know" if person["size"] > 1 else "A profile of one record")
    tour.out.print(showing.profile("Profile", person))
    tour.out.print(showing.golden(person))
    if person["size"] > 1:
        tour.evidence(person, "Why these are one person: the evidence")
        tour.lineage(person, "How the profile came to be, newest first")
    shown = (before_and_after(tour), not_glued(tour), across_devices(tour))
    _matching(tour, into)
    if lacking := [what for what in shown if what]:
        tour.chapters.begin("What there is none of in these files")
        tour.out.print(*lacking, sep="\n")
    tour.invite(person, None if member.namespace == RECORD_NAMESPACE else member)


def before_and_after(tour: Tour) -> str | None:
    """Two profiles that turned out to be one; a sentence where there are no such two."""
    found = tour.graph.read("change/telling")
    if not found:
        return "Two profiles that turned out to be one person: no row joins what earlier ones had left apart."
    at, stayed, moved, *ends, source = found[0]
    tour.chapters.begin("Two profiles that turned out to be one person")
    _apart(tour, [Key.of(stayed), Key.of(moved)], datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at))
    tour.out.print(f"Then {escape(source)} saw {_both([Key.of(end) for end in ends])} together.")
    tour.out.print(showing.profile("After", tour.client.person(Key.of(stayed))))
    return None


def not_glued(tour: Tour) -> str | None:
    """Something that several people share, and that joins none of them; a sentence where there is nothing like that."""
    refusals = {row.reason: row for row in (RefusalLine(*row) for row in tour.graph.read("link/refusals"))}
    if line := refusals.get(RefusalCode.SHARED_IDENTIFIER):
        shared = Key.of((line.parties or [line.a])[0])
        named = [Key.of(key) for key in _seen_with(tour, shared)]
        unique = Counter(key.namespace for key in named if tour.rules.rule(key.namespace).unique)
        namespace = max(unique, key=unique.__getitem__)
        users = [str(key) for key in named if key.namespace == namespace]
        tour.chapters.begin("What many people share does not glue them together")
        tour.out.print(
            f"[bold]{escape(str(shared))}[/] was seen with {len(users):,} values of {namespace}. The evidence gives it "
            "away as shared, and none of its links joins anybody."
        )
        tour.not_glued(shared, users, namespace, f"values of {namespace}")
    elif line := refusals.get(RefusalCode.UNIQUE_NAMESPACE):
        tour.chapters.begin("What two people share does not glue them together")
        tour.out.print("It counts as the one's; the other's links are kept, but join nobody:")
        tour.out.print(*showing.judged(_around(tour, line)), sep="\n")
    else:
        return "A device, a mailbox or a number that several people share, and that must not glue them together."
    return None


def _around(tour: Tour, refused: RefusalLine) -> list[LinkLine]:
    """A refused link among the others of its weaker end, the first few of them."""
    weaker = max((refused.a, refused.b), key=lambda key: tour.rules.rule(Key.of(key).namespace).priority)
    found = tour.links([weaker])
    this = {refused.a, refused.b}
    return sorted(found, key=lambda link: {link.a, link.b} != this)[: showing.MOST]


def across_devices(tour: Tour) -> str | None:
    found = tour.graph.read("profile/several_devices")
    if not found:
        return "A person who was seen on two devices."
    tour.devices(Key.of(found[0][0]))
    return None


def _matching(tour: Tour, into: Path) -> None:
    """What matching finds in the largest file of records, beyond what its identifiers join."""
    files = [one for one in tour.load.files if one.source and one.source.task.columns.fields]
    if not files:
        return
    largest = max(files, key=lambda one: one.report.read)
    tour.chapters.begin(f"What identifiers leave apart: matching {largest.file.path.name}")
    tour.out.print(_how_much_is_linked(sum(one.report.read for one in files), totals(tour.graph)[1]))
    try:
        with Console(stderr=True).status("matching") as status:
            found = match(largest.file.path, largest.file.fields, into, status.update)
    except MatchingError as e:
        tour.out.print(f"[yellow]Matching says no: {escape(str(e))}.[/]")
        return
    tour.out.print(*showing.matched(found), sep="\n")


def _how_much_is_linked(rows: int, profiles: int) -> str:
    if profiles < ENOUGH * rows:
        return (
            f"Identifiers alone made {rows:,} records {profiles:,} profiles. Matching compares their other columns too."
        )
    return (
        f"Identifiers alone link little here: {rows:,} records are {profiles:,} profiles, as their columns hold hardly "
        "an identifier that two records share. Matching compares names, dates and places instead."
    )
