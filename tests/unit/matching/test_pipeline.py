"""From file to clusters: right on made people, the same in any order, careful with families, clear about bad input."""

import csv
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import customers, people
from matching import evaluate, pipeline, report
from matching.errors import InputError, MatchingError, ModelError, TrainingError
from matching.model import Model


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def clusters(outcome: pipeline.Outcome) -> dict[str, str]:
    return dict(zip(outcome.record_ids, outcome.cluster_ids, strict=True))


def test_made_people_are_found_and_families_kept_apart(tmp_path: Path):
    truth = people.write(tmp_path / "people.csv", 4_000)
    outcome = pipeline.run([tmp_path / "people.csv"])
    found = evaluate.pairwise(clusters(outcome), truth)
    assert found.precision >= 0.95
    assert found.f1 >= 0.95
    page = report.render(outcome, "people.csv")
    assert "<script" not in page
    assert "http" not in page
    assert not any(f"{value}@" in page for value in ("james", "mary"))


@pytest.mark.parametrize(
    ("without", "recall"),
    [((), 0.9), (("street", "house_number", "postcode", "city"), 0.8), (("email",), 0.6)],
    ids=["all", "no addresses", "no e-mails"],
)
def test_namesakes_with_addresses_made_of_their_names_are_kept_apart(
    without: tuple[str, ...], recall: float, tmp_path: Path
):
    """jan73@ and jan75@, or james.smith@ and james_smith2@, are no more alike than the names are."""
    truth = customers.write(tmp_path / "customers.csv", without=without)
    found = evaluate.pairwise(clusters(pipeline.run([tmp_path / "customers.csv"])), truth)
    assert found.precision >= 0.93
    assert found.recall >= recall


def test_the_order_of_the_file_is_of_no_consequence(tmp_path: Path):
    people.write(tmp_path / "a.csv", 1_500)
    with (tmp_path / "a.csv").open(encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    random.Random(3).shuffle(rows)
    write(tmp_path / "b.csv", header, rows)
    assert clusters(pipeline.run([tmp_path / "a.csv"])) == clusters(pipeline.run([tmp_path / "b.csv"]))


def test_a_saved_model_gives_the_same_clusters(tmp_path: Path):
    people.write(tmp_path / "people.csv", 1_500)
    trained = pipeline.run([tmp_path / "people.csv"])
    trained.model.save(tmp_path / "model")
    again = pipeline.run([tmp_path / "people.csv"], model=Model.load(tmp_path / "model"))
    assert clusters(again) == clusters(trained)


def test_two_sources_that_hold_each_person_once_are_linked_one_to_one(tmp_path: Path):
    rows: list[list[str]] = []
    truth: dict[str, int] = {}
    for person in people.people(2_000, seed=4, duplicates=0.0):
        for source in ("a", "b"):
            key = f"{source}{person.record_id}"
            truth[key] = person.entity
            values = [person.values[name] for name in people.FIELDS]
            rows.append([key, source, *values])
    path = write(tmp_path / "two.csv", ["record_id", "source", *people.FIELDS], rows)
    outcome = pipeline.run([path])
    assert outcome.prepared.link_type == "link"
    found = clusters(outcome)
    quality = evaluate.pairwise(found, truth)
    assert quality.f1 >= 0.97
    sizes = [len(members) for members in _members(found).values()]
    assert max(sizes) == 2


def test_where_relatives_and_namesakes_abound_sources_that_hold_each_person_once_are_found(tmp_path: Path):
    """Two censuses ten years apart. Taken for lists that may name people twice, nothing can be learned."""
    chance = random.Random(1)
    names = [name.title() for name in chance.sample(sorted({p.values["first_name"] for p in people.people(400)}), 40)]
    families = sorted({person.values["last_name"].title() for person in people.people(900)})[:800]
    towns, streets = ([f"{name}{kind}" for name in families[:300]] for kind in ("ville", " Lane"))

    def common(some: list[str]) -> str:
        """The first of them most, as names are."""
        often = min(int(chance.paretovariate(0.9)) - 1, len(some) - 1)
        return some[often] if chance.random() < 0.6 else chance.choice(some)

    rows: list[list[str]] = []
    truth: dict[str, int] = {}
    number = 0
    while number < 3_500:
        family, town, street = common(families), common(towns), chance.choice(streets)
        for _ in range(chance.choice((1, 2, 3, 5, 6))):
            number += 1
            name, year, born = common(names), chance.randrange(1800, 1851), common(towns)
            for source in ("1851", "1861"):
                if chance.random() < 0.8:
                    key = f"{source}-{number}"
                    truth[key] = number
                    told = year + chance.choice((0, 0, 0, 1, -1, 2))
                    called, surname = (
                        one[: (cut := chance.randrange(len(one)))] + one[cut + 1 :] if chance.random() < 0.2 else one
                        for one in (name, family)
                    )
                    moved = source == "1861" and chance.random() < 0.3
                    lived = chance.choice(streets) if moved else street
                    rows.append([key, source, called, surname, str(told), born, lived, town])
    header = ["record_id", "source", "first_name", "surname", "birth_year", "birthplace", "street", "parish"]
    path = write(tmp_path / "census.csv", header, rows)
    outcome = pipeline.run([path])
    assert outcome.prepared.link_type == "link"
    assert pipeline.EACH_ONCE in outcome.model.report["notes"]
    found = evaluate.pairwise(clusters(outcome), truth)
    assert found.precision >= 0.95
    assert abs(found.precision - outcome.model.thresholds.expected.precision) < 0.03
    # Record by record nobody keeps the rivals of a match apart: from there on relatives would be merged as well.
    person = np.array([truth[id] for id in outcome.record_ids])
    right, model = person[outcome.left] == person[outcome.right], outcome.model
    assert right[outcome.weights >= model.thresholds.auto].mean() < 0.9
    assert right[outcome.weights >= model.unguarded.auto].mean() >= 0.95
    with pytest.raises(TrainingError, match="what it learned are not matches"):
        pipeline.run([path], {"link_type": "dedupe"})


def test_several_files_without_a_source_are_a_source_each(tmp_path: Path):
    """Two lists of the same people: each holds everyone once, and may use the same ids."""
    made = list(people.people(600, seed=4, duplicates=0.0))
    paths = [
        write(tmp_path / folder / "list.csv", ["record_id", *people.FIELDS],
              [[person.record_id, *(person.values[name] for name in people.FIELDS)] for person in made])
        for folder in ("a", "b")
    ]  # fmt: skip
    outcome = pipeline.run(paths, {"id": "record_id", "link_type": "link"})
    assert set(outcome.sources) == {"1: list.csv", "2: list.csv"}
    assert max(len(members) for members in _members(dict(enumerate(outcome.cluster_ids))).values()) == 2  # type: ignore[arg-type]
    assert "no column tells the source, so each of the 2 files is one" in outcome.model.report["notes"]
    with pytest.raises(InputError, match="only one source"):
        pipeline.run(paths[:1], {"link_type": "link"})


def test_dates_that_cannot_be_read_are_counted(tmp_path: Path):
    born = ["1970-01-02", "13/02/71", "soon", "32.13.1970", "n/a", "", "4 May 72", "1981-03-04"]
    rows = [[str(n), f"Ann{'abcdefgh'[n]}", "Lee", date] for n, date in enumerate(born)]
    con = pipeline.connect()
    notes = pipeline.prepare(con, [write(tmp_path / "x.csv", NAMES, rows)]).plan.notes
    assert "dob: 1 dates could not be read, or are of no birth, and count as missing" in notes
    assert "dob: 2 dates have a year of two digits; each was read as of the last hundred years" in notes


def test_a_country_that_nothing_is_read_by_is_not_told_as_used(tmp_path: Path):
    rows = [["1", "Ann", "Lee", "de", "030 123456"], ["2", "Bo", "Ray", "fr", "030 123457"]]
    path = write(tmp_path / "x.csv", ["id", "first_name", "last_name", "land", "tel"], rows)
    names = {"first_name": "first_name", "last_name": "last_name", "country": "land"}
    alone = pipeline.prepare(pipeline.connect(), [path], {"fields": names}).fields.describe()
    assert ("(not used)", "land") in alone
    assert not any(what == "country" for what, _ in alone)
    beside = pipeline.prepare(pipeline.connect(), [path], {"fields": {**names, "phone": "tel"}}).fields.describe()
    assert ("country", "land") in beside


def _members(found: dict[str, str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for record, label in found.items():
        members.setdefault(label, []).append(record)
    return members


def test_a_handful_of_records_is_carried_by_priors(tmp_path: Path):
    rows = [
        ["1", "Robert", "Smith", "1978-12-11", "rsmith@work.com", "123 Main Street"],
        ["2", "Bob", "Smith", "1978-12-11", "rsmith@work.com", "123 Main St"],
        ["3", "Patricia", "Smith", "1981-02-03", "psmith@home.com", "123 Main St"],
        ["4", "David", "Dobbins Jr", "1990-05-05", "", "9 City Rd"],
        ["5", "David", "Dobbins Sr", "1961-01-02", "", "9 City Rd"],
        ["6", "Ann", "Lee", "1955-01-09", "ann@lee.org", "1 Hill Rd"],
    ]
    path = write(tmp_path / "few.csv", ["id", "first_name", "last_name", "dob", "email", "address"], rows)
    found = clusters(pipeline.run([path]))
    assert found["1"] == found["2"]
    assert len({found[r] for r in "13456"}) == 5


NAMES = ["id", "first_name", "last_name", "dob"]


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        ("", InputError, "empty"),
        ("id,first_name,last_name\n", InputError, "no records"),
        ("amount,status\n1,2\n2,3\n", InputError, "recognised"),
        ("id,first_name,last_name\n" + "1,,\n2,,\n", TrainingError, "tells records apart"),
        (
            "id,first_name,last_name\n" + "".join(f"{i},Ann,Lee\n" for i in range(300)),
            TrainingError,
            "tells records apart",
        ),
    ],
)
def test_hopeless_files_are_refused_with_advice(tmp_path: Path, content: str, kind: type[MatchingError], words: str):
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(kind, match=words):
        pipeline.run([tmp_path / "x.csv"])


def test_an_id_that_repeats(tmp_path: Path):
    path = write(tmp_path / "x.csv", NAMES, [["1", "Ann", "Lee", "1970-01-01"], ["1", "Bo", "Ray", "1980-01-01"]])
    with pytest.raises(InputError, match="repeat an id"):
        pipeline.run([path], {"id": "id", "fields": {"first_name": "first_name", "last_name": "last_name"}})


@pytest.mark.parametrize("name", ["rid", "RID", " Rid "])
def test_an_id_may_be_called_as_the_row_number_is_inside(tmp_path: Path, name: str):
    rows = [["x7", "Ann", "Lee", "1970-01-01"], ["x3", "Bo", "Ray", "1980-01-01"]]
    path = write(tmp_path / "x.csv", [name, *NAMES[1:]], rows)
    con = pipeline.connect()
    prepared = pipeline.prepare(con, [path])
    assert prepared.fields.id == name.strip()
    assert con.sql("SELECT record_id, first_name FROM records ORDER BY rid").fetchall() == [("x3", "bo"), ("x7", "ann")]


def test_an_id_that_is_passed_over_is_told(tmp_path: Path):
    rows = [["1", "Ann", "Lee", "1970-01-01"], ["1", "Bo", "Ray", "1980-01-01"], ["", "Cy", "Poe", "1990-01-01"]]
    path = write(tmp_path / "x.csv", ["customer_id", *NAMES[1:]], rows)
    con = pipeline.connect()
    prepared = pipeline.prepare(con, [path])
    assert con.sql("SELECT record_id FROM records ORDER BY rid").fetchall() == [("1",), ("2",), ("3",)]
    note = "column 'customer_id' is named as an id, but 2 of its values repeat or are missing, so rows are numbered"
    assert [told.startswith(note) for told in prepared.plan.notes] == [True]
    assert not pipeline.prepare(con, [write(tmp_path / "y.csv", NAMES, rows[:1])]).plan.notes


def test_files_that_are_not_there_or_not_known(tmp_path: Path):
    with pytest.raises(InputError, match=r"none\.csv"):
        pipeline.run([tmp_path / "none.csv"])
    (tmp_path / "x.docx").write_text("x")
    with pytest.raises(InputError, match=r"docx"):
        pipeline.run([tmp_path / "x.docx"])


def test_hostile_values_are_bounded(tmp_path: Path):
    rows = [[str(i), f"Name{i % 40}", f"Family{i % 25}", f"19{i % 60 + 20}-01-0{i % 9 + 1}"] for i in range(300)]
    rows[0][1] = "x" * 10_000_000
    rows[1][1] = "\x00\x07\x1b[31mRed\u202e"
    rows[2][2] = "'; DROP TABLE records; --"
    outcome = pipeline.run([write(tmp_path / "x.csv", NAMES, rows)])
    assert len(outcome.record_ids) == 300


def test_one_record_is_a_cluster_of_its_own(tmp_path: Path):
    outcome = pipeline.run([write(tmp_path / "x.csv", NAMES, [["7", "Ann", "Lee", "1970-01-01"]])])
    assert outcome.cluster_ids == ["7"]
    assert "1 records stand alone" in report.render(outcome, "x.csv")


def test_the_report_shows_the_largest_clusters_whatever_their_number(tmp_path: Path):
    people.write(tmp_path / "people.csv", 400)
    outcome = pipeline.run([tmp_path / "people.csv"])
    sizes = [*range(1, 25), 100]
    made = replace(outcome, clusters=replace(outcome.clusters, label=np.repeat(np.arange(25), sizes)))
    page = report.render(made, "people.csv")
    shown = page[page.index("<h2>Clusters</h2>") : page.index("<h2>What was chosen")]
    assert [size for size in sizes if f">{size}</text>" in shown] == [*range(1, 11), *range(16, 25), 100]
    assert "5 sizes between" in shown
    assert "sizes between" not in report.render(outcome, "people.csv")


def test_one_column_is_too_little_to_merge_people_by(tmp_path: Path):
    rows = [[p.values["last_name"]] for p in people.people(600)]
    outcome = pipeline.run([write(tmp_path / "x.csv", ["last_name"], rows)])
    assert len(set(outcome.cluster_ids)) == 600
    assert "family_name alone says too little" in report.render(outcome, "x.csv")


def test_more_equal_records_than_a_block_holds_are_still_one_person(tmp_path: Path):
    person = ["Zacharias", "Quillfeather", "1961-11-23", "1 Owl Lane", "Aston", "12345", "0201234567", "z@quill.org"]
    rows = [[f"q{i}", *person] for i in range(500)]
    rows += [[p.record_id, *(p.values[name] for name in people.FIELDS)] for p in people.people(1_500)]
    path = write(tmp_path / "x.csv", ["record_id", *people.FIELDS], rows)
    trained = pipeline.run([path])
    for outcome in (trained, pipeline.run([path], model=trained.model)):
        found = clusters(outcome)
        assert len(found) == 2_000
        assert {found[f"q{i}"] for i in range(500)} == {"q0"}
        assert sum(label == "q0" for label in found.values()) == 500
        assert len(set(found.values())) > 1_000
    assert "499 records are equal" in report.render(trained, "x.csv")


def test_so_many_namesakes_as_chance_makes_are_not_one_person(tmp_path: Path):
    rows = [["Smith"] for _ in range(100)] + [[p.values["last_name"]] for p in people.people(500)]
    found = clusters(pipeline.run([write(tmp_path / "x.csv", ["last_name"], rows)]))
    assert len({found[str(i + 1)] for i in range(100)}) > 50


def test_a_model_keeps_its_cap_on_blocks_that_it_has_not_seen(tmp_path: Path):
    people.write(tmp_path / "seen.csv", 1_500)
    model = pipeline.run([tmp_path / "seen.csv"]).model
    rows = [[f"q{i}", "Ann", "Lee", f"19{i % 90 + 10}-01-01", "", "", "", "", "a@lee.org"] for i in range(6_000)]
    outcome = pipeline.run([write(tmp_path / "unseen.csv", ["record_id", *people.FIELDS], rows)], model=model)
    assert len(outcome.weights) < 6_000 * model.block_cap


def test_a_block_that_would_explode_is_left_out(tmp_path: Path):
    rows = [[str(i), "Ann", "Lee", ""] for i in range(5_000)]
    rows += [[p.record_id, *(p.values[name] for name in people.FIELDS[:3])] for p in people.people(400)]
    outcome = pipeline.run([write(tmp_path / "x.csv", NAMES, rows)])
    assert outcome.model.report["pairs_compared"] < 2_000_000


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved")
    people.write(path / "people.csv", 500)
    pipeline.run([path / "people.csv"]).model.save(path / "model")
    return path / "model"


@pytest.mark.parametrize(
    ("file", "pattern", "becomes"),
    [
        ("meta.json", r".*", '{"format": 99}'),
        ("meta.json", r".*", "{"),
        ("meta.json", r".*", "[]"),
        ("meta.json", r'"block_cap"', '"cap"'),
        ("model.json", r".*", "[]"),
        ("model.json", r".*", "{}"),
        ("model.json", r'"m_probability": [0-9.e-]+', '"m_probability": 0'),
        ("model.json", r'"u_probability": [0-9.e-]+', '"u_probability": "often"'),
        ("model.json", r'random_records_match": [0-9.e-]+', 'random_records_match": 1'),
        ("model.json", r'"comparisons"', '"comparison"'),
        ("tf/first_name.parquet", None, ""),
        ("tf/first_name.parquet", r".*", "PAR1"),
    ],
)
def test_a_model_of_another_version_or_damaged(
    saved: Path, tmp_path: Path, file: str, pattern: str | None, becomes: str
):
    shutil.copytree(saved, tmp_path / "model")
    assert Model.load(tmp_path / "model").version
    damaged = tmp_path / "model" / file
    if pattern is None:
        damaged.unlink()
    else:
        damaged.write_text(re.sub(pattern, becomes, damaged.read_text(encoding="latin-1"), count=1, flags=re.DOTALL))
    with pytest.raises(ModelError):
        Model.load(tmp_path / "model")
