"""`identity-graph rules`: look at a rules file before the service does."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from identity_graph.domain.rules import NamespaceRule, Rules
from identity_graph.services.rules_file import Problem, RulesFileError, load_rules

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
        console = Console(stderr=True, soft_wrap=True)
        for p in problems:
            where = f"{file}:{p.line}" if p.line else str(file)
            key = f" [cyan]{escape(p.key)}[/cyan]" if p.key else ""
            console.print(f"[bold]{escape(where)}[/bold]{key}: [red]{escape(p.message)}[/red]. {escape(p.advice)}")
        console.print(f"{len(problems)} problem{'s' if len(problems) > 1 else ''}; the file is not usable.")
    raise typer.Exit(0 if found else 1)


def _plain(rules: Rules | None, problems: list[Problem]) -> dict[str, object]:
    listed = [{"line": p.line, "key": p.key, "message": p.message, "advice": p.advice} for p in problems]
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
        str(rule.fan_out or "none"),
    ]
