"""What the demonstration shows, drawn with Rich for a terminal of 100 columns. Nothing here asks anything."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Column, Table
from rich.text import Text

from identity_graph.demo.loading import Load, Loaded
from identity_graph.demo.matched import Example, Matched
from identity_graph.demo.service import Json, Key
from identity_graph.domain.evidence import Refusal, RefusalCode
from identity_graph.domain.paths import match_probability
from identity_graph.domain.rules import RECORD_NAMESPACE

WIDTH = 100
#: The most rows of one list: more is scrolled past, not read.
MOST = 6
MOST_TRAITS = 16


class LinkLine(NamedTuple):
    """A link as the statement `link/around` returns it. Times in microseconds since 1970."""

    a: str
    b: str
    source: str
    state: str
    first_seen: int
    last_seen: int
    times: int
    reason: str | None
    parties: list[str] | None

    @property
    def refused(self) -> str | None:
        """Why the link joins nobody, as a sentence; None where it does."""
        return Refusal(RefusalCode(self.reason), tuple(self.parties or ())).message if self.reason else None


class RefusalLine(NamedTuple):
    """How many links are refused for a reason, and one of them, as `link/refusals` returns it."""

    reason: str
    links: int
    a: str
    b: str
    source: str
    parties: list[str] | None


def console() -> Console:
    """Standard output, at most 100 columns wide, and just as wide where it is no terminal."""
    out = Console(highlight=False)
    return Console(highlight=False, width=min(out.width, WIDTH) if out.is_terminal else WIDTH)


class Chapters:
    """Numbers the headings."""

    def __init__(self, out: Console) -> None:
        self._out, self._number = out, 0

    def begin(self, title: str) -> None:
        self._number += 1
        self._out.print()
        self._out.rule(f"[bold cyan]{self._number}[/]  [bold]{escape(title)}[/]", align="left", style="dim")


def brief(name: str, width: int = 0) -> Column:
    """A column of short values, which are never cut."""
    return Column(name, no_wrap=True, min_width=max(len(name), width))


def number(name: str) -> Column:
    return Column(name, no_wrap=True, min_width=len(name), justify="right")


def cut(name: str, most: int | None = None) -> Column:
    """A column of values that may be cut."""
    return Column(name, no_wrap=True, overflow="ellipsis", max_width=most)


def table(*columns: Column | str) -> Table:
    return Table(*columns, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))


def day(moment: str | int) -> str:
    """The date of a moment, which is ISO 8601 text or microseconds since 1970."""
    return moment[:10] if isinstance(moment, str) else f"{datetime.fromtimestamp(moment / 1e6, UTC):%Y-%m-%d}"


def short(id: str) -> str:
    """The end of a profile's id, which differs where its beginning is the time."""
    return f"…{id[-8:]}"


def key(text: str) -> Text:
    """An identifier: its namespace faint."""
    namespace, value = Key.of(text)
    return Text.assemble((f"{namespace} ", "dim"), value)


def _ends(a: str, b: str) -> Text:
    return Text.assemble(key(a), (" — ", "dim"), key(b))


def trait(profile: Json, name: str) -> str | None:
    return next((str(found["value"]) for found in profile["goldenRecord"] if found["name"] == name), None)


def called(profile: Json) -> str:
    """What a person is called, as markup."""
    parts = [part for part in (trait(profile, "first_name"), trait(profile, "last_name")) if part]
    return escape(" ".join(parts) or trait(profile, "full_name") or "somebody without a name")


# ---------------------------------------------------------------------------------------------- what was loaded


def loaded(done: Load, identifiers: int, profiles: int) -> Iterable[RenderableType]:
    lines = table(cut("source", 20), cut("file", 36), *map(number, ("rows", "taken", "repeated", "rejected")))
    for one in done.files:
        report = one.report
        if report.failure and not report.read:
            continue
        counts = (report.read, report.read - report.duplicates - report.rejected, report.duplicates, report.rejected)
        lines.add_row(escape(one.file.source), escape(one.file.path.name), *(f"{n:,}" for n in counts))
    yield lines
    yield from (f"[red]{escape(one.report.failure)}[/]" for one in done.files if one.report.failure)
    faulty = [one for one in done.files if one.report.warnings or one.report.rejected]
    if faulty:
        rows = sum(one.report.warnings + one.report.rejected for one in faulty)
        where = f"{escape(near(faulty[0].file.path))}.rejected.jsonl"
        yield f"[dim]{rows:,} rows have a cell that is no valid identifier or cannot be read; see {where}[/]"
    if done.rows:
        speed = done.rows / max(done.seconds, 1e-3)
        rate = f"{done.rows:,} rows in {done.seconds:.1f} s ([bold]{speed:,.0f} rows/s[/])"
    else:
        rate = "All rows were there from an earlier run"
    yield f"{rate}; now [bold]{identifiers:,} identifiers[/] belong to [bold]{profiles:,} profiles[/]."


def near(path: Path) -> str:
    """A path as a person here would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def recognised(files: Sequence[Loaded]) -> RenderableType:
    """Which column was taken for what."""
    lines = table(cut("file", 36), brief("means", width=12), "columns")
    for one in files:
        name = one.file.path.name
        if one.source and one.source.observations:
            lines.add_row(escape(name), "observations", "")
        elif one.source:
            for what, columns in _meanings(one.source.task.columns.described()):
                lines.add_row(escape(name), what, escape(columns))
                name = ""
    return lines


def _meanings(described: Sequence[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    """Identifiers and traits on one line each."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for meaning, column in described:
        kind, _, name = meaning.partition(" ")
        if kind in ("identifier", "trait"):
            grouped[f"{kind}s"].append(column if name == column else f"{name} = {column}")
        else:
            grouped[meaning].append(column)
    return [(what, ", ".join(columns)) for what, columns in grouped.items()]


# ---------------------------------------------------------------------------------------------- one person


def profile(title: str, found: Json, width: int | None = None) -> Panel:
    """A profile's identifiers, by namespace."""
    values: dict[str, list[str]] = defaultdict(list)
    for edge in found["identifiers"]["edges"]:
        values[edge["node"]["namespace"]].append(edge["node"]["value"])
    records = values.pop(RECORD_NAMESPACE, [])
    rows = [(namespace, len(named), ", ".join(named)) for namespace, named in values.items()]
    if records:
        sources = Counter(value.partition("/")[0] for value in records)
        rows.append(("records", len(records), ", ".join(f"{n:,} of {source}" for source, n in sources.items())))
    longest = max(len(name) for name, _, _ in rows)
    lines = table(brief("", width=longest), brief(""), cut("", (width or WIDTH) - longest - 11))
    lines.show_header = False
    for name, count, told in rows:
        lines.add_row(f"[dim]{escape(name)}[/]", str(count) if count > 1 else "", escape(told))
    size = found["identifiers"]["totalCount"]
    return Panel(
        lines,
        title=f"{title}: [bold]{called(found)}[/]",
        subtitle=f"[dim]profile {short(found['id'])}, {size:,} identifier{'s' if size != 1 else ''}[/]",
        title_align="left",
        subtitle_align="right",
        border_style="cyan",
        width=width,
    )


def side_by_side(*panels: Panel) -> RenderableType:
    return Columns(panels, padding=(0, 1), equal=True)


def golden(found: Json) -> RenderableType:
    """Each value that survived, who said it and when, and what it prevailed over. Lists and objects are left out."""
    plain = [one for one in found["goldenRecord"] if not isinstance(one["value"], list | dict)]
    lines = table(
        cut("golden record", 20), cut("value", 28), cut("source", 12), brief("date", width=10), cut("instead of", 28)
    )
    for one in plain[:MOST_TRAITS]:
        others = [other for other in one["alternatives"] if other["value"] != one["value"]]
        instead = f"{others[0]['value']} ({others[0]['source']}, {day(others[0]['observedAt'])})" if others else ""
        shown = (one["name"], str(one["value"]), one["source"], day(one["observedAt"]))
        lines.add_row(*map(escape, shown), f"[dim]{escape(instead)}[/]")
    return more(lines, len(plain) - MOST_TRAITS)


def more(lines: Table, left_out: int) -> Table:
    """A last row that says how much was left out."""
    if left_out > 0:
        lines.add_row(f"[dim]and {left_out} more[/]")
    return lines


# ---------------------------------------------------------------------------------------------- why


def links(found: Sequence[LinkLine]) -> RenderableType:
    """Who saw which two together, how often and when: links between identifiers, or else those to records."""
    named = [link for link in found if RECORD_NAMESPACE not in (Key.of(link.a).namespace, Key.of(link.b).namespace)]
    chosen = named or found
    lines = table(cut("these two", 33), cut("were seen together", 33), cut("by", 10), number("times"), brief("last"))
    for link in chosen[:MOST]:
        lines.add_row(key(link.a), key(link.b), escape(link.source), str(link.times), day(link.last_seen))
    return more(lines, len(chosen) - MOST)


def refusals(found: Sequence[RefusalLine]) -> RenderableType:
    """Which links were refused, how many for each reason."""
    lines = table(brief("refused because", width=17), number("links"), "such as")
    for one in found:
        sentence = Refusal(RefusalCode(one.reason), tuple(one.parties or ())).message
        lines.add_row(one.reason, f"{one.links:,}", _ends(one.a, one.b))
        lines.add_row("", "", f"[dim]{escape(sentence)}[/]")
    return lines


def judged(found: Sequence[LinkLine]) -> Iterable[RenderableType]:
    """Links side by side: which of them join, which were refused and why."""
    lines = table(cut("link", 50), cut("by", 10), brief("last"), brief("joins"))
    for link in found:
        verdict = f"[yellow]no, {link.reason}[/]" if link.reason else "[green]yes[/]"
        lines.add_row(_ends(link.a, link.b), escape(link.source), day(link.last_seen), verdict)
    yield lines
    yield from sorted({f"[dim]{escape(link.refused)}[/]" for link in found if link.refused})


# ---------------------------------------------------------------------------------------------- lineage, devices


def lineage(found: Json) -> RenderableType:
    """What made a profile, newest first, each with the link that caused it."""
    lines = table(brief("when"), brief("what"), cut("because of the link", 50), cut("of", 10))
    for edge in found["edges"]:
        change = edge["node"]
        cause = change["cause"].get("link")
        because, source = "[dim]an identifier alone[/]", ""
        if cause:
            because, source = _ends(*(str(Key(**cause[end])) for end in ("from", "to"))), escape(cause["source"])
        lines.add_row(change["at"][:19].replace("T", " "), _what(change), because, source)
    return more(lines, found["totalCount"] - len(found["edges"]))


def _what(change: Json) -> str:
    moved = len(change["movedIdentifiers"])
    counted = f", {moved} moved" if moved else ""
    return f"{change['kind'].capitalize()}{counted}"


def devices(found: Sequence[Json]) -> RenderableType:
    lines = table(cut("other devices"), brief("last seen", width=10), number("sure"))
    for device in found[:MOST]:
        named = key(str(Key(**device["identifier"])))
        lines.add_row(named, day(device["lastSeenAt"]), f"{device['confidence']:.0%}")
    return more(lines, len(found) - MOST)


def membership(before: Json, after: Json) -> RenderableType:
    """Each condition of a segment, and what a profile has: before and after."""
    lines = table(cut("condition", 48), cut("the account before", 20), cut("now", 20))
    for one, other in zip(before["conditions"], after["conditions"], strict=True):
        lines.add_row(escape(one["condition"]), *map(_held, (one, other)))
    return lines


def _held(condition: Json) -> str:
    mark = "[green]✓[/]" if condition["holds"] else "[red]✗[/]"
    actual = condition["actual"]
    return mark if actual is None else f"{mark} {escape(str(actual))}"


def journey(found: Json) -> Iterable[RenderableType]:
    """Events with the device or else the identifier of each, and what all of a person's events add up to."""
    lines = table(brief("when"), brief("what"), cut("which", 24), cut("on", 36), cut("by", 10))
    for edge in found["journey"]["edges"]:
        event = edge["node"]
        which = ", ".join(str(value) for value in event["properties"].values())
        on = Key(**(event["device"] or event["identifier"]))
        when = event["at"][:16].replace("T", " ")
        lines.add_row(when, escape(event["type"]), escape(which), key(str(on)), escape(event["source"]))
    yield lines
    sums = found["aggregates"]
    counts = ", ".join(f"{one['count']} × {escape(one['type'])}" for one in sums["events"])
    yield f"[dim]In all {counts}; bought for {sums['lifetimeValue']:.2f}; mostly seen by {sums['favouriteChannel']}.[/]"


# ---------------------------------------------------------------------------------------------- matching


def matched(found: Matched) -> Iterable[RenderableType]:
    """How many people there are, the records of one and what speaks for it, and where to read on."""
    yield f"It finds [bold]{found.clusters:,} people[/] in [bold]{found.records:,} records[/]."
    if found.example:
        yield from _cluster(found.example)
    yield f"All weights, and how far to trust them, are in the report: [bold cyan]{escape(near(found.page))}[/]"


def _cluster(example: Example) -> Iterable[RenderableType]:
    lines = table(*(cut(name.removeprefix("text_"), 24) for name in ("One of them:", *example.columns)))
    for n, row in enumerate(example.rows, 1):
        lines.add_row(f"[dim]record {n}[/]", *map(escape, row))
    yield lines
    yield ""
    levels = [(level.comparison, level.level, level.weight) for level in example.score.levels]
    yield waterfall(f"records 1 and {example.other + 1}", levels, example.score.weight)


def waterfall(title: str, levels: Sequence[tuple[str, str, float]], weight: float) -> RenderableType:
    """How the match weight of two records adds up, in bits: the odds of any two, then each comparison and its level."""
    weights = table(title, "compared", number("bits"), "")
    for what, level, bits in (
        ("any two records", "", weight - sum(bits for _, _, bits in levels)),
        *(one for one in levels if one[2]),
        ("together", f"probability {match_probability(weight):.4f}", weight),
    ):
        bar = f"[{'green' if bits >= 0 else 'red'}]{'█' * min(30, round(abs(bits)))}[/]"
        weights.add_row(escape(what), escape(level), f"{bits:+.1f}", bar)
    return weights


# ---------------------------------------------------------------------------------------------- the end


def invitation(address: str, id: str, by: Key | None) -> Iterable[RenderableType]:
    """Where to go on, and what to ask there: for the profile of an identifier, or of an id."""
    named = f'profileByIdentifier(identifier: {{namespace: "{by.namespace}", value: "{by.value}"}})' if by else None
    query = f"""{{
  {named or f'profile(id: "{id}")'} {{
    id size goldenRecord {{ name value source observedAt }}
    identifiers {{ edges {{ node {{ namespace value sources }} }} }}
  }}
}}"""
    yield f"Open [bold cyan]{address}/graphql[/], paste this and press Ctrl-Enter:"
    yield Syntax(query, "graphql", background_color="default", word_wrap=True, padding=(1, 2))
