"""Scores learnt from journeys and written as traits.

Time divides what is learnt from what is judged: of the last moment with events T and a score of N days, the model
learns at T - 2N who did it until T - N, and is judged at T - N by who did it until T. It never sees anything later than
the moment at which it is asked; only which identifiers are one person is what is known today.

What a model says of a profile is kept as records' values are: a node of the source ``score:NAME``, anchored by the
profile's strongest identifier. So a golden record shows it with its source and moment, and it goes with its identifier
when profiles merge or split, and back when that is undone. What another part or a profile merged in was given ends
when a model is applied next.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import orjson

from identity_graph.domain.assignment import standing
from identity_graph.domain.rules import Rules
from identity_graph.domain.scores import (
    MAX_TYPES,
    BadScore,
    Judged,
    Model,
    Person,
    Task,
    auc,
    brier,
    feature_names,
    features,
    reliability,
)
from identity_graph.domain.segments import near
from identity_graph.services.active_rules import followed
from identity_graph.services.catalogue import SCORE, read_catalogue
from identity_graph.services.live import show_again
from identity_graph.services.observe import Clock
from identity_graph.services.overrides import STEWARD
from identity_graph.services.score_report import render
from identity_graph.store.graph import LONG_READ_TIMEOUT, Graph, Transaction

#: Profiles of one page, and of one transaction.
PAGE = 500
#: Events of one identifier and type that are looked at, the latest.
MAX_EVENTS = 1_000
#: Fewest profiles that are learnt from or judged by, and fewest of them that did it, and that did not.
MIN_PEOPLE, MIN_OF_EACH = 50, 10
#: Decimals of a score.
PLACES = 4

Told = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, how it was judged, and where both are written."""

    model: Model
    judged: Judged
    description: Path
    report: Path


@dataclass(frozen=True, slots=True)
class Applied:
    """How many profiles were asked about, and how many show something else now."""

    profiles: int
    changed: int


def train(graph: Graph, task: Task, folder: Path, at: int, told: Told = lambda _: None) -> Trained:
    """Learn a score from the journeys in the graph, judge it, and write it into the folder.

    Raises :class:`BadScore` with what is missing, where there is too little to learn from, and where others say a trait
    of its name.
    """
    task.check()
    _check_free(graph, task.name)
    if find_spec("sklearn") is None:
        raise BadScore("training needs scikit-learn: install identity-graph[score]")
    types, first, last = _span(graph, task, at)
    if last - first < 3 * task.span:
        seen = (last - first) / (24 * 3600 * 1e6)
        raise BadScore(
            f"the history is too short: events span {seen:.0f} days, and {3 * task.days} are needed to learn "
            f"what happens within {task.days}; take fewer days"
        )
    learnt_at, judged_at = last - 2 * task.span, last - task.span
    rows: list[list[float]] = []
    labels: list[bool] = []
    later: list[list[float]] = []
    happened: list[bool] = []
    for person in _people(graph, last, told):
        for moment, some, did in ((learnt_at, rows, labels), (judged_at, later, happened)):
            if person.known_at(moment):
                some.append(features(person, moment, types))
                did.append(person.does(task, moment))
    _enough(task, labels, "learn from")
    _enough(task, happened, "judge by")
    version = datetime.fromtimestamp(at / 1e6, UTC).strftime("%Y%m%dT%H%M%SZ")
    model = _fit(task, version, types, rows, labels)
    expected = [model.probability(row) for row in later]
    share = sum(labels) / len(labels)
    judged = Judged(
        len(later),
        sum(happened) / len(happened),
        auc(expected, happened),
        brier(expected, happened),
        brier([share] * len(happened), happened),
        tuple(reliability(expected, happened)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    about = {"people": len(rows), "share": share, "learnt_at": learnt_at, "judged_at": judged_at, "until": last}
    report, description = folder / f"{task.name}.html", folder / f"{task.name}.json"
    report.write_text(render(model, judged, about), encoding="utf-8")
    _replace(description, {"model": asdict(model), "trained": about, "judged": asdict(judged)})
    return Trained(model, judged, description, report)


def _check_free(graph: Graph, name: str) -> None:
    """Raises :class:`BadScore` where others say a trait that this score writes: being newer, it would hide theirs; and
    where the rules declare one, which would hide the score.

    A person's word comes before scores anyway.
    """
    now = followed(graph)
    for declared in sorted({name, f"{name}_model"} & now.rules.aggregates.keys() if now else ()):
        raise BadScore(f"NAME: the rules declare {declared} as what events add up to; take another name")
    for source, names in sorted(graph.read_many(read_catalogue).names.items()):
        taken = {one.partition(".")[0] for one in names} & {name, f"{name}_model"}
        if taken and source not in (SCORE + name, STEWARD):
            raise BadScore(f"NAME: {source} says a trait {min(taken)}, which the score would hide; take another name")


def _span(graph: Graph, task: Task, at: int) -> tuple[tuple[str, ...], int, int]:
    """The types of events that are looked at, and between which moments there are any."""
    ((rows,),) = graph.read("score/span", timeout=LONG_READ_TIMEOUT)
    types = [row[0] for row in rows]
    if task.type not in types:
        there = near(task.type, types) or "; there are no events yet"
        raise BadScore(f"--event: the graph has no event of the type {task.type}{there}")
    frequent = [type for type in types if type != task.type][: MAX_TYPES - 1]
    return (task.type, *frequent), min(row[2] for row in rows), min(at, max(row[3] for row in rows))


def _people(graph: Graph, until: int, told: Told, after: str = "") -> Iterator[Person]:
    many = 0
    while True:
        ((rows,),) = graph.read(
            "score/journeys", timeout=LONG_READ_TIMEOUT, after=after, limit=PAGE, until=until, events=MAX_EVENTS
        )
        for id, members, runs in rows:
            yield Person(id, [tuple(member) for member in members], [tuple(event) for run in runs for event in run])
        if len(rows) < PAGE:
            return
        after, many = rows[-1][0], many + len(rows)
        told(many)


def _enough(task: Task, labels: Sequence[bool], what: str) -> None:
    if len(labels) < MIN_PEOPLE:
        raise BadScore(f"there are too few profiles to {what}: {len(labels)}, and {MIN_PEOPLE} are needed")
    for did, word in ((True, "did"), (False, "did not do")):
        many = labels.count(did)
        if many < MIN_OF_EACH:
            raise BadScore(
                f"too few profiles to {what} {word} {task.type} within {task.days} days: {many}, and {MIN_OF_EACH} "
                "are needed"
            )


def _fit(task: Task, version: str, types: tuple[str, ...], rows: list[list[float]], labels: list[bool]) -> Model:
    """A logistic regression, and a sigmoid over what it says of those whom it did not learn from."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    unseen = cast(Any, cross_val_predict(pipeline, rows, labels, cv=folds, method="decision_function"))
    sigmoid = LogisticRegression(C=1e6).fit(unseen.reshape(-1, 1), labels)
    pipeline.fit(rows, labels)
    scaler, linear = cast(Any, pipeline[0]), cast(Any, pipeline[1])
    return Model(
        version,
        task,
        types,
        tuple(scaler.mean_.tolist()),
        tuple(scaler.scale_.tolist()),
        tuple(linear.coef_[0].tolist()),
        float(linear.intercept_[0]),
        float(sigmoid.coef_[0][0]),
        float(sigmoid.intercept_[0]),
    )


def load(folder: Path, name: str) -> Model:
    """The model of that name. Raises :class:`BadScore`."""
    try:
        raw = orjson.loads((folder / f"{name}.json").read_bytes())["model"]
    except FileNotFoundError:
        known = sorted(path.stem for path in folder.glob("*.json"))
        raise BadScore(f"NAME: there is no score {name}{near(name, known)}; train one first") from None
    values: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in raw.items()}
    values["task"] = Task(**raw["task"])
    model = Model(**values)
    if len(feature_names(model.types)) != len(model.weights):
        raise BadScore(f"NAME: the score {name} was trained by another version of this program; train it again")
    return model


def apply(graph: Graph, rules: Rules, folder: Path, name: str, clock: Clock, told: Told = lambda _: None) -> Applied:
    """Write what a model says of each profile, page by page; goes on where it was stopped.

    Raises :class:`BadScore` where there is no such model, and where others say a trait of its name by now.
    """
    model = load(folder, name)
    _check_free(graph, name)
    place = folder / f"{name}.applying"
    stopped: dict[str, Any] = orjson.loads(place.read_bytes()) if place.exists() else {}
    if stopped.get("version") != model.version:
        stopped = {"version": model.version, "at": clock(), "after": "", "profiles": 0, "changed": 0}
    page: list[Person] = []

    def write() -> None:
        stopped["changed"] += graph.write(lambda tx: _write(tx, rules, model, page, stopped["at"], clock))[0]
        stopped["profiles"] += len(page)
        stopped["after"] = page[-1].id
        _replace(place, stopped)
        page.clear()
        told(stopped["profiles"])

    for person in _people(graph, stopped["at"], lambda _: None, stopped["after"]):
        page.append(person)
        if len(page) == PAGE:
            write()
    if page:
        write()
    place.unlink(missing_ok=True)
    return Applied(stopped["profiles"], stopped["changed"])


def _write(tx: Transaction, rules: Rules, model: Model, people: Sequence[Person], at: int, clock: Clock) -> int:
    element = dict(tx.one("score/elements", ids=[person.id for person in people]))
    tx.one("profile/lock", elements=sorted(element.values()))
    name = model.task.name
    source = SCORE + name
    rows: list[list[str]] = []
    traits: dict[str, Any] = {}
    for person in people:
        if person.id in element:
            anchor = min(person.members, key=lambda m: standing(m[0], m[1], rules))[0]
            probability = round(model.probability(features(person, at, model.types)), PLACES)
            traits = {name: probability, f"{name}_model": model.version}
            rows.append([element[person.id], anchor, orjson.dumps(traits, option=orjson.OPT_SORT_KEYS).decode()])
    # Whom another writer moves meanwhile is given a score by the next run.
    written = tx.one("score/write", rows=rows, source=source, at=clock())
    show_again(tx, sorted(written), rules, clock(), [(source, traits)])
    return len(written)


def _replace(file: Path, content: Any) -> None:
    """Write a file at once or not at all."""
    new = file.with_name(file.name + ".new")
    new.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2))
    os.replace(new, file)
