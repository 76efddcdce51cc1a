"""`identity-graph rules`: look at a rules file, and let the graph follow it."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from identity_graph.cli_options import AsJson, DataDir, settings_of
from identity_graph.domain.rules import NamespaceRule, Rules
from identity_graph.services.rules_file import Problem, RulesFileError, load_rules

if TYPE_CHECKING:
    # Imported when it is needed: numpy and the driver take a second to load.
    from identity_graph.services.simulation import Simulation

rules_app = typer.Typer(help="Work with rules files.", no_args_is_help=True)


@rules_app.callback()
def rules() -> None:
    """Work with rules files."""


@rules_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A rules file in TOML.", exists=True, dir_okay=False, readable=True)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Check a rules file: what is wrong with it and where, or the rules that it amounts to.

    Exit code 0: usable. 1: problems, all of them printed. 2: the file cannot be read.

    Example: identity-graph rules check rules.toml
    """
    try:
        found, problems = load_rules(file), list[Problem]()
    except RulesFileError as e:
        found, problems = None, e.problems
    if as_json:
        typer.echo(json.dumps(_plain(found, problems), ensure_ascii=False, indent=2))
    elif found:
        _show(found)
    else:
        _complain(file, problems)
    raise typer.Exit(0 if found else 1)


@rules_app.command("apply")
def apply_file(
    file: Annotated[
        Path | None, typer.Argument(help="A rules file in TOML.", exists=True, dir_okay=False, readable=True)
    ] = None,
    previous: Annotated[
        bool, typer.Option("--previous", help="Go back to the rules before, and take back what came of these.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would become of the profiles.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Apply without asking.")] = False,
    reason: Annotated[str, typer.Option(help="Why; it stands in the lineage of every profile that changes.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Let the graph follow the rules of a file: shows what would become of the profiles, then decides all of it again.

    The service may run meanwhile, and follows the new rules within a second. If it is stopped, the same command goes
    on. What would become of the profiles is worked out in memory, in some 20 seconds and 1 GB a million links.

    Example: identity-graph rules apply rules.toml --dry-run
    """
    from identity_graph.database import is_alone, opened_graph, operator
    from identity_graph.services import apply_rules
    from identity_graph.services.simulation import simulate
    from identity_graph.services.submit import now
    from identity_graph.store.graph import WRITE_TIMEOUT

    if (file is None) is not previous:
        raise typer.BadParameter("name a FILE, or say --previous", param_hint="FILE")
    settings = settings_of(data_dir=data_dir)
    alone = is_alone(settings)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with opened_graph(settings, "rules apply", progress=not as_json) as graph:
        wanted = apply_rules.former_rules(graph) if file is None else _loaded(file)
        apply_rules.expect_applicable(graph, wanted)
        with console.status("Working out what would become of the profiles"):
            found = simulate(graph, wanted)
        if not as_json:
            _show_change(found)
        applied = not dry_run and (yes or (not as_json and typer.confirm("Apply it?")))
        if applied:
            done: dict[str, int] = {}
            with console.status("Applying") as status:

                def told(what: str, many: int) -> None:
                    done[what] = done.get(what, 0) + many
                    status.update(f"{what.capitalize()} {done[what]:,} profiles" if done[what] else what.capitalize())

                patience = 0.0 if alone else WRITE_TIMEOUT + 1
                apply_rules.apply_rules(graph, wanted, now, operator(), reason or "rules apply", told, patience)
    if as_json:
        typer.echo(json.dumps({"rules": wanted.version, "applied": applied, **asdict(found)}))
    elif applied:
        typer.echo(f"The graph follows the rules {wanted.version}.")
    else:
        typer.echo("Nothing was changed.")


def _loaded(file: Path) -> Rules:
    try:
        return load_rules(file)
    except RulesFileError as e:
        _complain(file, e.problems)
        raise typer.Exit(1) from None


def _show_change(found: "Simulation") -> None:
    out = Console(highlight=False)
    out.print(f"{found.merges:,} profiles would end in others, {found.splits:,} parts would come off profiles.")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    for column in ("now", "then"):
        table.add_column(column, justify="right")
    counted = {"profiles": found.profiles, "shared identifiers": found.shared, "junk values": found.junk}
    counted |= {f"links refused: {code}": pair for code, pair in found.refused.items()}
    for name, (before, after) in counted.items():
        table.add_row(name, f"{before:,}", f"{after:,}")
    out.print(table)
    for one in found.affected:
        out.print(f"{one.id}: {one.size:,} identifiers, then in {one.parts:,} profiles, with {one.others:,} others")


def _complain(file: Path, problems: list[Problem]) -> None:
    console = Console(stderr=True, soft_wrap=True)
    for p in problems:
        where = f"{file}:{p.line}" if p.line else str(file)
        key = f" [cyan]{escape(p.key)}[/cyan]" if p.key else ""
        console.print(f"[bold]{escape(where)}[/bold]{key}: [red]{escape(p.message)}[/red]. {escape(p.advice)}")
    console.print(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}; the file is not usable.")


def _plain(rules: Rules | None, problems: list[Problem]) -> dict[str, object]:
    listed = [asdict(problem) for problem in problems]
    if rules is None:
        return {"usable": False, "problems": listed}
    return {"usable": True, "problems": listed, "version": rules.version, "rules": json.loads(rules.as_json())}


def _show(rules: Rules) -> None:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("namespace", "class", "unique", "limit", "priority", "normaliser", "fan-out", ""):
        table.add_column(column, overflow="fold")
    known = Rules()
    named = sorted(rules.namespaces.items(), key=lambda item: (item[1].priority, item[0]))
    for name, rule in named:
        built_in = known.namespaces.get(name)
        table.add_row(name, *_cells(rule), "" if rule == built_in else "changed" if built_in else "new")
    table.add_row("(any other)", *(["refused"] if rules.strict else _cells(rules.defaults)), style="dim")
    console = Console()
    console.print(table)
    blocked = rules.blocked
    console.print(
        f"\npolicy {rules.policy}, size cap {rules.size_cap:,}, default region {rules.default_region or 'none'}\n"
        f"sources that hold each person once: {', '.join(sorted(rules.deduplicated_sources)) or 'none known'}\n"
        f"blocked: {len(blocked.values)} values, {len(blocked.patterns)} patterns, "
        f"{len(blocked.mailboxes)} mailboxes, {len(blocked.phones)} phone patterns\n"
        f"rules version {rules.version}",
        highlight=False,
    )


def _cells(rule: NamespaceRule) -> list[str]:
    limit = "" if rule.unique else str(rule.limit or "none")
    return [
        rule.cls,
        "yes" if rule.unique else "",
        limit,
        str(rule.priority),
        rule.normaliser,
        "none" if rule.fan_out is None else str(rule.fan_out),
    ]
