"""The demo data set: reproducible, small, and telling the stories that `story.json` promises."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from identity_graph.demo import DATA, SOURCES
from identity_graph.demo.generate import PEOPLE, SEED, generate, main
from identity_graph.domain.evidence import Observation, RefusalCode, gather, observation
from identity_graph.domain.identifiers import InvalidIdentifier, identify
from identity_graph.domain.partition import Partition, partition
from identity_graph.domain.rules import Rules

RULES = Rules()


def rows(content: bytes, file: str) -> Iterator[dict[str, Any]]:
    if file.endswith(".csv"):
        yield from csv.DictReader(io.StringIO(content.decode()))
    else:
        yield from map(orjson.loads, content.splitlines())


def as_observation(row: dict[str, Any], source: str, mapping: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": f"{source}:{row[mapping['id']]}",
        "source": source,
        "observedAt": row[mapping["observed_at"]],
        "recordId": row[mapping["id"]],
        "identifiers": [
            {"namespace": namespace, "value": row[column]}
            for namespace, column in mapping["identifiers"].items()
            if row[column]
        ],
    }


def submitted(files: Mapping[str, bytes]) -> Iterator[dict[str, Any]]:
    """Every row of every source in the form of SubmitLinks."""
    for source in SOURCES:
        for row in rows(files[source.file], source.file):
            if source.fields is None:
                yield row
            else:
                yield as_observation(row, source.name, yaml.safe_load(source.fields.read_text()))


def understood(raw: dict[str, Any]) -> Observation | None:
    """The domain's observation, or None where an identifier is malformed and the row is rejected."""
    try:
        identifiers = [identify(i["namespace"], i["value"], RULES) for i in raw["identifiers"]]
    except InvalidIdentifier:
        return None
    at = int(datetime.fromisoformat(raw["observedAt"]).timestamp() * 1_000_000)
    return observation(raw["id"], raw["source"], at, identifiers, "", RULES, raw.get("recordId"))


class Told:
    """One data set, resolved."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        self.story = orjson.loads(files["story.json"])
        self.raw = list(submitted(files))
        self.observations = [understood(raw) for raw in self.raw]
        self.partition = self.resolve()

    def resolve(self, without: str = "") -> Partition:
        return partition(gather(o for o in self.observations if o is not None and o.id != without), RULES)


def profile(found: Partition, key: dict[str, str]) -> frozenset[str]:
    identifier = f"{key['namespace']}:{key['value']}"
    return next(members for members in found.profiles if identifier in members)


@pytest.fixture(scope="module")
def shipped() -> Told:
    return Told({path.name: path.read_bytes() for path in DATA.iterdir()})


@pytest.fixture(scope="module", params=[SEED, 1, 20260301])
def told(request: pytest.FixtureRequest) -> Told:
    return Told(generate(people=400, seed=request.param))


def test_generating_again_gives_the_shipped_bytes(shipped: Told, tmp_path: Path) -> None:
    main([str(tmp_path / "made")])
    made = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    assert sorted(made) == sorted(shipped.files)
    assert [name for name, content in made.items() if content != shipped.files[name]] == []
    assert sum(map(len, made.values())) < 1_700_000


def test_another_seed_makes_other_people() -> None:
    one, other = generate(people=100, seed=1), generate(people=100, seed=2)
    assert [name for name in one if one[name] == other[name]] == []


def test_too_few_people_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "out"), "--people", "20"])
    assert "--people must be at least 100" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_mapped_column_exists(shipped: Told) -> None:
    for source in SOURCES:
        if source.fields is not None:
            mapping = yaml.safe_load(source.fields.read_text())
            named = {
                mapping["id"],
                mapping["observed_at"],
                *mapping["fields"].values(),
                *mapping["identifiers"].values(),
            }
            first = next(rows(shipped.files[source.file], source.file))
            assert named - set(first) == set(), source.file


def test_a_repeated_id_repeats_the_same_content(shipped: Told) -> None:
    contents: dict[str, set[bytes]] = {}
    for raw in shipped.raw:
        contents.setdefault(raw["id"], set()).add(orjson.dumps(raw))
    assert [id for id, seen in contents.items() if len(seen) > 1] == []
    assert len(shipped.raw) - len(contents) > 30


def test_it_has_the_faults_of_real_data(shipped: Told) -> None:
    """Junk is refused, people on one device stay apart, a handful of rows is malformed, most rows are good."""
    refused = Counter(refusal.code for refusal in shipped.partition.refused.values())
    assert refused[RefusalCode.BLOCKED_VALUE] > 50
    assert refused[RefusalCode.UNIQUE_NAMESPACE] > 50
    assert refused[RefusalCode.SHARED_IDENTIFIER] > 40
    assert 0 < shipped.observations.count(None) < 20
    written = {i["value"] for raw in shipped.raw for i in raw["identifiers"] if i["namespace"] == "email"}
    assert len(written) - len({value.strip().lower() for value in written}) > 100
    assert len(shipped.raw) > 2 * PEOPLE


def test_the_star_is_joined_by_one_event(told: Told) -> None:
    star = told.story["many_identifiers"]
    before = told.resolve(without=star["joining_observation"])
    halves = profile(before, star["device"]), profile(before, star["account"])
    assert profile(before, star["crm"]) == halves[0] != halves[1]
    whole = profile(told.partition, star["account"])
    assert whole == halves[0] | halves[1]
    namespaces = Counter(key.partition(":")[0] for key in whole)
    assert namespaces["email"] == 2
    assert namespaces["device_id"] == 3
    assert namespaces["cookie_id"] == 4
    device = told.story["cross_device"]["device"]
    assert profile(told.partition, device) == whole


def test_the_joining_event_is_the_last_of_its_source(told: Told) -> None:
    last = max(rows(told.files["app_events.jsonl"], ".jsonl"), key=lambda row: row["observedAt"])
    assert last["id"] == told.story["many_identifiers"]["joining_observation"]


def test_the_shop_tablet_glues_nobody(told: Told) -> None:
    tablet = told.story["shop_tablet"]["device"]
    key = f"device_id:{tablet['value']}"
    assert key in told.partition.shared
    assert profile(told.partition, tablet) == {key}
    users = {i.key for o in told.observations if o for i in o.identifiers if key in {x.key for x in o.identifiers}}
    assert len(users - {key}) >= 40


def test_the_family_tablet_belongs_to_one_sibling_only(told: Told) -> None:
    family = told.story["family_tablet"]
    one, other = (profile(told.partition, user) for user in family["users"])
    assert one != other
    assert profile(told.partition, family["device"]) in (one, other)


def test_father_and_son_stay_two(told: Told) -> None:
    pair = told.story["father_and_son"]
    father, son = profile(told.partition, pair["father"]), profile(told.partition, pair["son"])
    assert father != son
    assert profile(told.partition, pair["phone"]) in (father, son)
    cards = {row["crm_id"]: row for row in rows(told.files["crm.csv"], "crm.csv")}
    a, b = cards[pair["father"]["value"]], cards[pair["son"]["value"]]
    assert {column for column in a if a[column] != b[column]} == {"crm_id", "email", "dob", "updated_at"}


def test_the_hidden_person_shares_traits_but_no_identifier(told: Told) -> None:
    hidden = told.story["same_person_no_shared_identifier"]
    at_crm, at_shop = profile(told.partition, hidden["crm"]), profile(told.partition, hidden["account"])
    assert at_crm != at_shop
    assert all(
        {i.key for i in o.identifiers}.isdisjoint(at_crm) or {i.key for i in o.identifiers} <= at_crm
        for o in told.observations
        if o
    )
    card = next(r for r in rows(told.files["crm.csv"], "crm.csv") if r["crm_id"] == hidden["crm"]["value"])
    account = next(raw for raw in told.raw if raw.get("recordId") == hidden["account"]["value"])
    assert account["traits"]["dob"] == card["dob"]
    assert account["traits"]["postcode"] == card["postcode"]


def test_the_handed_down_phone_is_its_second_owners(told: Told) -> None:
    phone = told.story["handed_down_phone"]
    owner = profile(told.partition, phone["device"])
    assert owner == profile(told.partition, phone["second_owner"])
    assert owner != profile(told.partition, phone["first_owner"])
