"""The demonstration from the command line, as a newcomer runs it: shipped data, a second time, one's own files."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import psutil
import pytest

from identity_graph.demo.generate import generate

COMMAND = (str(Path(sys.executable).with_name("identity-graph")), "demo")
#: A loaded machine is slow without being wrong.
PATIENCE = 540.0
#: Settings of the person who runs the tests are not the newcomer's; where Neo4j was fetched to is, and how it is run.
KEPT = ("IDENTITY_GRAPH_CACHE_DIR", "IDENTITY_GRAPH_JAVA_OPTIONS")
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("NEO4J_", "IDENTITY_GRAPH_")) or name in KEPT
}


def demo(*options: object, at: Path) -> subprocess.CompletedProcess[str]:
    """The command, run to its end in a folder of its own."""
    words = [*COMMAND, *map(str, options)]
    return subprocess.run(
        words, cwd=at, env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )


def left_over(folder: Path) -> list[str]:
    """The processes that still work on a database below a folder."""
    found = psutil.process_iter(["cmdline"])
    return [" ".join(p.info["cmdline"])[:200] for p in found if str(folder) in " ".join(p.info["cmdline"] or ())]


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(f"it ended without saying {text!r}:\n{said}")


@contextmanager
def serving(at: Path) -> Generator[subprocess.Popen[str]]:
    """The command while it serves; whatever happens, it does not stay."""
    process = subprocess.Popen(
        COMMAND,
        cwd=at,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("newcomer")


@pytest.fixture(scope="module")
def first(home: Path) -> subprocess.CompletedProcess[str]:
    return demo("--exit", at=home)


@pytest.mark.timeout(600)
def test_it_shows_the_story_and_ends_with_nothing_left(home: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stdout + first.stderr
    assert left_over(home) == []
    shown = first.stdout
    lacking = [
        fact
        for fact in (
            "rows/s",
            "Before: Sanne de Vries",
            "16 identifiers",
            "After: Sanne de Vries",
            "24 identifiers",
            "sannedevries@inbox.example  crm",
            "By that same event, the person enters a segment",
            "Sanne de Vries, changed in the same transaction as the merge.",
            "✓ 6",
            "UNIQUE_NAMESPACE",
            "BLOCKED_VALUE",
            "SHARED_IDENTIFIER",
            "48 customers' accounts",
            "status is SHARED",
            "one account in each",
            "267 identifiers, 50 accounts",
            "user_id:u500005 and user_id:u500006 would share a profile, and user_id is unique.",
            "Merged, 8 moved",
            "Helene Lefebvre, crm_id:C-10004",
            "Hélène Lefèvre, user_id:u500004",
            "any two records",
            "The surest of them in two sources",
            "it is proposed, as ",
            "their cards",
            "1958-04-19",
            "1986-07-24",
            "/graphql",
            'profileByIdentifier(identifier: {namespace: "user_id", value: "u500001"})',
        )
        if fact not in shown
    ]
    assert lacking == [], shown
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.timeout(600)
def test_the_second_time_everything_is_there_and_it_serves_until_interrupted(
    home: Path, first: subprocess.CompletedProcess[str]
) -> None:
    assert first.returncode == 0
    with serving(home) as process:
        said = read_until(process, "until you press Ctrl-C")
        assert "All rows were there from an earlier run" in said
        assert re.findall(r"(?:Before|After): Sanne de Vries|\d+ identifiers ─", said) == [
            "Before: Sanne de Vries",
            "Before: Sanne de Vries",
            "8 identifiers ─",
            "16 identifiers ─",
            "After: Sanne de Vries",
            "24 identifiers ─",
        ]
        assert "Sanne de Vries is one of them since an earlier run" in said
        (address,) = set(re.findall(r"http://127\.0\.0\.1:\d+", said))
        assert httpx.get(f"{address}/readyz").status_code == 200
        answer = httpx.post(f"{address}/graphql", json={"query": ready_query(said)}).json()
        assert len(answer["data"]["profileByIdentifier"]["identifiers"]["edges"]) == 24
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
    assert left_over(home) == []


def ready_query(said: str) -> str:
    """The query that is there to be pasted."""
    lines = said[said.index("press Ctrl-Enter:") :].splitlines()[1:]
    start = next(n for n, line in enumerate(lines) if line.strip() == "{")
    end = next(n for n, line in enumerate(lines) if line.rstrip() == "  }")
    return "\n".join(lines[start : end + 1])


@pytest.mark.timeout(600)
def test_other_data_is_not_mixed_with_it(home: Path, first: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    assert first.returncode == 0
    (tmp_path / "people.csv").write_text("id,email\n1,ada@example.org\n")
    refused = demo("--exit", "--data", tmp_path, "--data-dir", home / ".demo" / "retailer", at=home)
    assert refused.returncode == 1
    assert "holds other data" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert left_over(home) == []


def twice(cards: str) -> str:
    """Members without any identifier, each on two lines, the second with a letter less in its name."""
    rows = list(csv.DictReader(cards.splitlines()))
    lines = ["no,first_name,last_name,dob,postcode,city"]
    for n, row in enumerate(rows):
        known = f"{row['last_name']},{row['dob']},{row['postcode']},{row['city']}"
        lines += [f"{n}a,{row['first_name']},{known}", f"{n}b,{row['first_name'][1:]},{known}"]
    return "\n".join(lines)


@pytest.mark.timeout(600)
def test_files_of_ones_own(tmp_path: Path) -> None:
    """Columns are recognised or mapped, an unreadable file stops nothing, and matching adds what identifiers lack."""
    data = tmp_path / "exports"
    data.mkdir()
    (data / "members.csv").write_text(twice(generate(people=300, seed=3)["crm.csv"].decode()))
    shop = ("nr,who,mail", "1,Ada Lovelace,ada@example.org", "2,Nobody,no-reply@example.org", "3,,ada@work.example")
    (data / "shop.csv").write_text("".join(f"{line}\n" for line in shop))
    (data / "shop.yaml").write_text("id: nr\nfields: {full_name: who}\n")
    seen = [
        ("cookie_id:c-1", "email:Ada@example.org"),
        ("cookie_id:c-2", "email:Ada@example.org", "email:ada@work.example"),
        *((f"user_id:u-{n}", "device_id:tablet-9") for n in range(7)),
    ]
    events = [
        {
            "id": f"w{n}",
            "source": "web",
            "observedAt": f"2026-01-0{n}T10:00:00Z",
            "identifiers": [dict(zip(("namespace", "value"), key.split(":"), strict=True)) for key in keys],
        }
        for n, keys in enumerate(seen, 1)
    ]
    (data / "web.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    (data / "odd.csv").write_text("alpha,beta\n1,2\n")
    (data / "broken.parquet").write_text("nothing of the kind")
    before = sorted(path.name for path in data.iterdir())
    done = demo("--exit", "--data", data, at=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lacking = [
        fact
        for fact in (
            "broken.parquet is no Parquet file",
            "odd.csv is left out",
            "full_name = who",
            "Profile: Ada Lovelace",
            "c-1, c-2",
            "BLOCKED_VALUE",
            "Then web saw email:ada@example.org and email:ada@work.example together",
            "device_id:tablet-9 was seen with 7 values of user_id",
            "one user_id in each",
            "cookie_id c-2",
            "Identifiers alone link little here",
            "records 1 and 2",
            "members.report.html",
        )
        if fact not in done.stdout
    ]
    assert lacking == [], done.stdout
    assert sorted(path.name for path in data.iterdir()) == before
    assert left_over(tmp_path) == []
    assert list(tmp_path.glob(".demo/*/members.report.html"))


def test_a_folder_without_files_is_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to load")
    used = demo("--exit", "--data", tmp_path, at=tmp_path)
    assert used.returncode == 2
    assert "holds no file" in " ".join(used.stderr.replace("│", " ").split())
    assert not (tmp_path / ".demo").exists()
