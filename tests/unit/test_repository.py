"""House rules of the repository, each with the harm it prevents. Every test lists all its violations at once."""

import ast
import importlib.metadata
import os
import re
import subprocess
import sys
import textwrap
import tomllib
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import graphql
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version
from pydantic import AliasChoices
from typer.main import get_command

from identity_graph.api.keys import Scope
from identity_graph.cli import app
from identity_graph.neo4j_runtime.server import write_configuration
from identity_graph.settings import Settings
from identity_graph.store.statements import migrations

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
LOCKS = [ROOT / name for name in ("requirements.lock", "requirements-dev.lock", "package-lock.json")]
CYPHER_CLAUSE = re.compile(
    r"^\s*(MATCH|OPTIONAL MATCH|MERGE|CREATE|UNWIND|CALL|DETACH DELETE)\b.*[({\[$]", re.MULTILINE
)


@cache
def tracked() -> list[Path]:
    """The files that a clone holds."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in names.split("\0") if name and (path := ROOT / name).exists()]


def in_repository(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fenced(language: str) -> list[tuple[Path, str]]:
    """Every fenced block of that language in the documents."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(path, block) for path in DOCUMENTS for block in pattern.findall(path.read_text())]


def shell_lines() -> list[tuple[Path, str]]:
    """Every command that the documents tell a reader to type, in `sh` blocks; `\\` continues a line."""
    return [
        (path, line)
        for path, block in fenced("sh")
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip() and not line.startswith("#")
    ]


# --- Files


@pytest.mark.parametrize("folder", ["graphql", "cypher"])
def test_contract_folders_hold_no_python(folder: str) -> None:
    """An importable `graphql/` at the root hides the library of that name: `import strawberry` then fails."""
    assert [in_repository(path) for path in (ROOT / folder).rglob("*.py")] == []


def test_files_are_source_not_artefacts() -> None:
    limit = 2_000_000
    assert {in_repository(path): path.stat().st_size for path in tracked() if path.stat().st_size > limit} == {}


def test_cypher_is_written_in_cypher_files_only() -> None:
    """A statement in a Python string escapes the linter, the EXPLAIN test and the parameter check."""
    found = [
        f"{in_repository(path)}:{node.lineno}"
        for path in tracked()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "identity_graph")
        for node in code_strings(ast.parse(path.read_text()))
        if CYPHER_CLAUSE.search(node.value)
    ]
    assert found == []


def test_migrations_are_numbered_one_by_one() -> None:
    """Two of one number, made side by side, would come in the order of their names."""
    numbers = [name.partition("__")[0] for name, _ in migrations()]
    assert numbers == [f"V{number:04}" for number in range(1, len(numbers) + 1)]


def code_strings(tree: ast.AST) -> list[ast.Constant]:
    """String constants, those inside f-strings too, that are not docstrings."""
    prose = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in prose
    ]


def test_the_cypher_rule_sees_plain_and_formatted_strings() -> None:
    tree = ast.parse('"""MATCH (n) in prose."""\na = "MATCH (n) RETURN n"\nb = f"UNWIND ${x} AS y"\nc = "match made"')
    assert [node.lineno for node in code_strings(tree) if CYPHER_CLAUSE.search(node.value)] == [2, 3]


# --- Dependencies


def test_locks_name_no_host() -> None:
    """A lock with an address installs from there whatever mirror the reader's machine is set to."""
    assert [in_repository(path) for path in LOCKS if "://" in path.read_text()] == []


def pins(lock: Path) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(normal(name), []).append(Version(version))
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    ("lock", "groups"), [("requirements.lock", ["build"]), ("requirements-dev.lock", ["build", "dev"])]
)
def test_locks_satisfy_the_declared_dependencies(lock: str, groups: list[str]) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*declared["project"]["dependencies"], *(r for g in groups for r in group(g, declared))]
    locked = pins(ROOT / lock)
    unmet = [
        text
        for text in wanted
        if not any(Requirement(text).specifier.contains(v) for v in locked.get(normal(Requirement(text).name), []))
    ]
    assert unmet == [], f"run `make lock`: {lock} does not hold {unmet}"


def group(name: str, declared: dict[str, Any]) -> list[str]:
    """The requirements of a dependency group, with those of the groups it includes."""
    entries = declared["dependency-groups"][name]
    return [r for e in entries for r in ([e] if isinstance(e, str) else group(e["include-group"], declared))]


def test_every_imported_package_is_declared() -> None:
    """A package that only comes along with another one vanishes with that one's next release."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = (text for some in project["optional-dependencies"].values() for text in some)
    declared = [*project["dependencies"], *extras]
    distributions = importlib.metadata.packages_distributions()
    allowed = {normal(Requirement(text).name) for text in declared} | {"identity-graph"}
    undeclared = {
        f"{in_repository(path)}: {module}"
        for path in tracked()
        if path.suffix == ".py" and in_repository(path).startswith(("identity_graph/", "matching/"))
        for module in imported_modules(ast.parse(path.read_text()))
        if module not in sys.stdlib_module_names
        and allowed.isdisjoint(normal(name) for name in distributions.get(module, []))
    }
    assert undeclared == set()


def imported_modules(tree: ast.AST) -> set[str]:
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    froms = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.partition(".")[0] for name in names | froms} - {"identity_graph", "matching"}


def test_both_locks_pin_the_same_versions() -> None:
    runtime, everything = pins(ROOT / "requirements.lock"), pins(ROOT / "requirements-dev.lock")
    assert {name: found for name, found in runtime.items() if everything.get(name) != found} == {}


# --- Documents


def test_every_setting_stands_in_the_readme_and_nothing_else() -> None:
    documented = set(re.findall(r"^\| `((?:IDENTITY_GRAPH|NEO4J)_[A-Z0-9_]+)`", DOCUMENTS[0].read_text(), re.MULTILINE))
    assert documented == setting_names() | names_read_from_the_environment()


def setting_names() -> set[str]:
    """The environment variable of every setting: its alias where it has one, else the prefix and its name."""
    prefix = Settings.model_config.get("env_prefix", "")
    names: set[str] = set()
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        names.add(str(first or f"{prefix}{name}").upper())
    return names


def names_read_from_the_environment() -> set[str]:
    """What the rooms below the composition root read themselves, such as where to find Java."""
    pattern = re.compile(r"environ(?:\.get\(|\[)\s*\"((?:IDENTITY_GRAPH|NEO4J)_[A-Z0-9_]+)\"")
    sources = (ROOT / "identity_graph").rglob("*.py")
    return {name for path in sources for name in pattern.findall(path.read_text())}


def test_graphql_examples_validate_against_the_schema() -> None:
    schema = graphql.build_schema((ROOT / "graphql" / "schema.graphql").read_text())
    examples = fenced("graphql")
    problems = [
        f"{in_repository(path)}: {error}"
        for path, block in examples
        for error in graphql.validate(schema, graphql.parse(block))
    ]
    assert examples
    assert problems == []


def test_documented_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {line.split()[1] for _, line in shell_lines() if line.startswith("make ")}
    assert used
    assert used <= targets


def test_documented_commands_and_options_exist() -> None:
    used = [line for _, line in shell_lines() if line.startswith("identity-graph ")]
    assert used
    assert [problem for line in used for problem in wrong_with(line)] == []


def wrong_with(line: str) -> list[str]:
    """What a line names that the command line does not have."""
    command = get_command(app)
    problems: list[str] = []
    for word in line.split()[1:]:
        subcommands = getattr(command, "commands", {})
        if word in subcommands:
            command = subcommands[word]
        elif subcommands:
            return [f"{line}: no command {word}"]
        elif word.startswith("--") and word.partition("=")[0] not in {o for p in command.params for o in p.opts}:
            problems.append(f"{line}: no option {word}")
    return problems


def test_the_help_of_every_command_has_an_example_that_works() -> None:
    examples = {name: re.findall(r"Example: (.+)", text) for name, text in helps(get_command(app), "identity-graph")}
    lacking = [name for name, lines in examples.items() if not any(line.startswith(name) for line in lines)]
    assert lacking == []
    assert [problem for lines in examples.values() for line in lines for problem in wrong_with(line)] == []


def helps(command: Any, name: str) -> list[tuple[str, str]]:
    """The help of each command below this one."""
    if not hasattr(command, "commands"):
        return [(name, command.help or "")]
    return [found for word in command.commands for found in helps(command.commands[word], f"{name} {word}")]


def test_the_scopes_of_keys_are_named_where_they_are_chosen() -> None:
    (option,) = [p for p in get_command(app).commands["keys"].commands["new"].params if p.name == "scope"]
    assert [scope.value for scope in Scope if scope.value not in option.help] == []


def test_the_example_of_a_statement_is_one() -> None:
    (header,) = re.findall(r"((?:^  // .+\n)+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    lines = textwrap.dedent(header)
    name = lines.partition("// name: ")[2].partition("\n")[0]
    assert (ROOT / "cypher" / "statements" / f"{name}.cypher").read_text().startswith(lines)


def test_every_command_stands_in_the_readme_and_nothing_else() -> None:
    table = DOCUMENTS[0].read_text().partition("## Commands")[2].partition("## Settings")[0]
    assert set(re.findall(r"^\| `([a-z0-9-]+)`", table, re.MULTILINE)) == set(getattr(get_command(app), "commands", {}))


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{in_repository(path)}: {target}"
        for path in DOCUMENTS
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)|(?:src|srcset)=\"([^\":]+)\"", path.read_text())
        for target in target
        if target and not (path.parent / target).exists()
    ]
    assert broken == []


# --- Packaging


def test_compose_publishes_to_loopback_only_and_holds_no_secret() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []
    assert [name for name, service in services.items() if not {"healthcheck", "build"} & service.keys()] == []
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    secrets = [
        f"{name}.{key}"
        for name, service in services.items()
        for key, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|AUTH|KEY", key) and not re.fullmatch(r"(neo4j/)?\$\{\w+:\?.*\}", str(value))
    ]
    assert secrets == []


def test_compose_runs_the_database_as_it_is_run_embedded(tmp_path: Path) -> None:
    """Its time-outs are those that the service's own are nested around, wherever the database runs."""
    write_configuration(tmp_path, "2026.09.0", 7687, 64)
    lines = (tmp_path / "conf" / "neo4j.conf").read_text().splitlines()
    embedded = dict(line.split("=", 1) for line in lines if "=" in line)
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["neo4j"]
    composed = {
        re.sub("_+", lambda bar: "_" if len(bar[0]) > 1 else ".", name.removeprefix("NEO4J_")): value
        for name, value in service["environment"].items()
        if name != "NEO4J_AUTH"
    }
    assert {name for name in composed if not name.startswith("server.memory.")} <= embedded.keys()
    waits = {name for name in embedded if name.startswith(("db.transaction", "db.lock", "dbms.cypher"))}
    assert {name: composed.get(name) for name in waits} == {name: embedded[name] for name in waits}


def test_the_image_runs_as_nobody_special_on_what_the_lock_names() -> None:
    """Root in a container is root of what it mounts, and a package without its hash is whatever an index says."""
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert re.findall(r"^USER (.+)$", stages[-1], re.MULTILINE)[-1] not in ("root", "0")
    installs = re.findall(r"pip install (.+)", "".join(stages))
    assert installs
    assert [how for how in installs if "--require-hashes" not in how and "--no-deps" not in how] == []
    assert any(how.endswith("-r requirements.lock") for how in installs)


def test_the_wheel_works_outside_the_checkout(tmp_path: Path) -> None:
    """Paths that only exist in a checkout, or data files left out of the wheel, show nowhere else."""
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=ROOT)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    contracts = {path for path in tracked() if in_repository(path).startswith(("cypher/", "graphql/"))}
    assert contracts
    assert {f"identity_graph/_contracts/{in_repository(path)}" for path in contracts} <= names
    assert {name.partition("/")[0] for name in names if "dist-info" not in name} == {"identity_graph", "matching"}

    # Only the dependencies are borrowed: a path file adds them without the editable install beside them.
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=tmp_path)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{Path(yaml.__file__).parents[1]}\n")
    python, command = environment / "bin" / "python", environment / "bin" / "identity-graph"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)

    where = run(python, "-c", "import identity_graph; print(identity_graph.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(site)
    count = "from identity_graph.store.statements import all_statements; print(len(list(all_statements())))"
    assert int(run(python, "-c", count, cwd=tmp_path)) == len(list((ROOT / "cypher/statements").rglob("*.cypher")))
    assert "Usage" in run(command, "--help", cwd=tmp_path)
    schema = run(command, "export-schema", cwd=tmp_path)
    assert schema.strip() == (ROOT / "graphql" / "schema.graphql").read_text().strip()


def run(*command: object, cwd: Path) -> str:
    """What the command prints; its errors where it fails."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout
