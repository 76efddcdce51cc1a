"""`identity-graph segment …` and `identity-graph export …`."""

import getpass
import json
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from identity_graph.cli_options import AsJson, DataDir, collect_rarely, settings_of
from identity_graph.database import opened_graph
from identity_graph.domain.segments import InvalidRule
from identity_graph.domain.traits import as_date
from identity_graph.services import export as service
from identity_graph.services.active_rules import active_rules
from identity_graph.services.lookup import NOW
from identity_graph.services.segments import Segment, Segments
from identity_graph.services.submit import now
from identity_graph.store.graph import Graph

segment_app = typer.Typer(help="Groups of people by rules, kept as the data changes.", no_args_is_help=True)
export_app = typer.Typer(help="Write profiles to Parquet, CSV or JSON Lines.", no_args_is_help=True)

_out = Console(soft_wrap=True, highlight=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False)

Name = Annotated[str, typer.Argument(help="The segment's name.", show_default=False)]
RuleFile = Annotated[
    Path,
    typer.Argument(help="A rule as JSON, in the form of GraphQL's SegmentRuleInput.", exists=True, dir_okay=False),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, and write nothing.")]


@segment_app.command("list")
def all_segments(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """All segments and their sizes.

    Example: identity-graph segment list
    """
    with _opened(data_dir, "segment list", as_json) as (_, segments):
        found = segments.all(NOW)
    if as_json:
        typer.echo(json.dumps({"segments": [_plain(one) for one in found]}))
        return
    table = Table("name", "version", "members", "defined", "description", box=None, pad_edge=False)
    for one in found:
        row = (escape(one.name), str(one.version), f"{one.size:,}", as_date(one.defined_at), escape(one.description))
        table.add_row(*row)
    _out.print(table if found else "No segment is defined.")


@segment_app.command()
def define(
    name: Name,
    rule: RuleFile,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    replace: Annotated[
        int | None, typer.Option(help="The version that is replaced, where the name is in use.", show_default=False)
    ] = None,
    dry_run: DryRun = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Define a segment by the rule in a file, and let everybody enter who satisfies it.

    Example: identity-graph segment define big_spenders rule.json
    """
    raw = _rule(rule)
    with _opened(data_dir, "segment define", as_json) as (_, segments):
        found, _ = segments.define(name, description, raw, getpass.getuser(), expected_version=replace, dry_run=dry_run)
        remarks = segments.remarks(raw)
    told = _plain(found) | {"remarks": [_coded(one) for one in remarks]}
    words = f"segment {name}, version {found.version}: {found.size:,} members"
    _tell(as_json, told, "\n".join([words, *map(_sentence, remarks)]))


@segment_app.command()
def preview(
    rule: RuleFile,
    sample: Annotated[int, typer.Option(help="How many profile ids to show.", min=0, max=100)] = 5,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """How many would be in a segment of this rule, and some of them.

    Example: identity-graph segment preview rule.json
    """
    raw = _rule(rule)
    with _opened(data_dir, "segment preview", as_json) as (_, segments):
        size, ids = segments.preview(raw, sample, NOW)
    _tell(as_json, {"size": size, "sample": ids}, "\n".join([f"{size:,} profiles", *ids]))


@segment_app.command()
def explain(
    name: Name,
    profile: Annotated[str, typer.Argument(help="A profile's id.", show_default=False)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Why a profile is a member or not, condition by condition.

    Example: identity-graph segment explain big_spenders 0199f3c2-…
    """
    with _opened(data_dir, "segment explain", as_json) as (_, segments):
        found = segments.explain(name, profile, NOW)
        if found is None:
            raise InvalidRule("UNKNOWN_PROFILE", f"there is no profile {profile}")
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    _out.print(f"{found.profile} is {'' if found.is_member else 'not '}a member of {escape(name)}")
    for one in found.conditions:
        depth = sum(part in ("all", "any", "not", "segment") for part in one.path)
        mark = "[green]yes[/green]" if one.holds else "[red]no [/red]"
        has = "" if one.actual is None else escape(f" (has {json.dumps(one.actual, ensure_ascii=False)})")
        _out.print(f"{mark} {'  ' * depth}{escape(one.words)}{has}")
    if found.turns_at is not None:
        _out.print(f"Time alone will change it at {as_date(found.turns_at)}")


@segment_app.command()
def versions(name: Name, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Every definition that a segment ever had, the latest first: its rule, who defined it and when.

    Example: identity-graph segment versions big_spenders
    """
    with _opened(data_dir, "segment versions", as_json) as (_, segments):
        found = segments.versions(name, NOW)
        if not found:
            raise InvalidRule("UNKNOWN_SEGMENT", f"there never was a segment {name}", ("name",))
    told = [asdict(one) | {"rule": json.loads(one.rule), "defined_at": as_date(one.defined_at)} for one in found]
    lines = [f"{one['version']}  {one['defined_at']}  {one['defined_by']}  {json.dumps(one['rule'])}" for one in told]
    _tell(as_json, {"versions": told}, "\n".join(lines))


@segment_app.command()
def members(
    name: Name,
    limit: Annotated[int, typer.Option(help="How many to show; `export segment` writes all.", min=1, max=1000)] = 20,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Who is in a segment, and since when.

    Example: identity-graph segment members big_spenders
    """
    with _opened(data_dir, "segment members", as_json) as (_, segments):
        found, _, total = segments.members(name, limit, "", NOW)
    told = [{"profile_id": id, "entered_at": as_date(entered)} for id, entered in found]
    lines = [f"{one['profile_id']}  {one['entered_at']}" for one in told]
    _tell(as_json, {"total": total, "members": told}, "\n".join([f"{total:,} members", *lines]))


@segment_app.command()
def delete(name: Name, dry_run: DryRun = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Delete a segment that no other one names; who was in it stays on record.

    Example: identity-graph segment delete big_spenders
    """
    with _opened(data_dir, "segment delete", as_json) as (_, segments):
        segments.delete(name, dry_run=dry_run)
    _tell(as_json, {"deleted": name, "dry_run": dry_run}, f"segment {name} {'could be' if dry_run else 'is'} deleted")


@segment_app.command()
def traits(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The traits that a rule can ask for: who says them, of which types, how many have them; with masked examples.

    Example: identity-graph segment traits
    """
    with _opened(data_dir, "segment traits", as_json) as (_, segments):
        found, full = segments.catalogue(NOW)
    if as_json:
        typer.echo(json.dumps({"traits": [asdict(one) for one in found], "full_sources": full}))
        return
    table = Table("name", "kind", "types", "sources", "have it", "examples", box=None, pad_edge=False)
    for one in found:
        lists = (", ".join(some) for some in (one.types, one.sources))
        table.add_row(*map(escape, (one.name, one.kind, *lists, f"{one.fill_rate:.0%}", "  ".join(one.examples))))
    _out.print(table)
    for source, many in full.items():
        _out.print(
            escape(f"{source} has more names than the rules take; {many:,} values of others stay in its records")
        )


@segment_app.command()
def refresh(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let those enter and leave whom time has made to, as the service does by itself every few seconds.

    Example: identity-graph segment refresh
    """
    with _opened(data_dir, "segment refresh", as_json) as (_, segments):
        many = segments.catch_up()
    _tell(as_json, {"evaluated": many}, f"{many:,} profiles were due and were evaluated")


Out = Annotated[
    Path, typer.Option("--out", help="The file; its ending says how it is written: .parquet, .csv or .jsonl.")
]


@export_app.command("profiles")
def export_profiles(out: Out, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Write all profiles: a row each, a column for each trait, and a description of the columns beside it.

    Example: identity-graph export profiles --out profiles.parquet
    """
    _export(out, None, data_dir, as_json)


@export_app.command("segment")
def export_segment(name: Name, out: Out, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Write a segment's members.

    Example: identity-graph export segment big_spenders --out big_spenders.csv
    """
    _export(out, name, data_dir, as_json)


def _export(out: Path, segment: str | None, data_dir: Path | None, as_json: bool) -> None:
    kind = out.suffix.removeprefix(".").lower()
    if kind not in service.FORMATS:
        raise typer.BadParameter(f"end the name in one of .{', .'.join(service.FORMATS)}", param_hint="--out")
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {out.absolute().parent}", param_hint="--out")
    collect_rarely()
    with _opened(data_dir, "export", as_json) as (graph, _), Progress(console=_err, transient=True) as progress:
        task = progress.add_task("profiles", total=None)
        found = service.export(graph, out, kind, segment, lambda done: progress.update(task, completed=done))
    told = {"rows": found.rows, "file": str(out), "schema": str(found.described), "left_out": found.left_out}
    lines = [f"{found.rows:,} profiles in {out}, described in {found.described}"]
    for column, many in sorted(found.left_out.items()):
        lines.append(f"{many:,} values of {column} were left out: their type changed during the export")
    _tell(as_json, told, "\n".join(lines))


def _rule(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
        raise typer.BadParameter(f"{file} is not JSON: {e}", param_hint="RULE") from None


def _plain(one: Segment) -> dict[str, Any]:
    at = as_date(one.defined_at)
    told = {"name": one.name, "version": one.version, "description": one.description, "size": one.size}
    return told | {"rule": json.loads(one.rule or "null"), "defined_at": at, "defined_by": one.defined_by}


def _tell(as_json: bool, plain: dict[str, Any], words: str) -> None:
    if as_json:
        typer.echo(json.dumps(plain))
    else:
        _out.print(escape(words))


def _coded(one: InvalidRule) -> dict[str, Any]:
    return {"code": one.code, "path": one.path, "message": str(one)}


def _sentence(one: InvalidRule) -> str:
    return ": ".join(filter(None, (one.code, ".".join(one.path), str(one))))


@contextmanager
def _opened(data_dir: Path | None, command: str, as_json: bool) -> Generator[tuple[Graph, Segments]]:
    """The graph and its segments. What is wrong with a rule ends the command with its code, path and sentence."""
    chosen = settings_of(data_dir=data_dir)
    try:
        with opened_graph(chosen, command) as graph:
            yield graph, Segments(graph, active_rules(graph, None, now()), now)
    except InvalidRule as e:
        if as_json:
            typer.echo(json.dumps({"error": _coded(e)}))
        else:
            _err.print(f"[bold red]error:[/bold red] {escape(_sentence(e))}")
        raise typer.Exit(1) from None
