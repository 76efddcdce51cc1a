"""People on two records each, and a model that was trained on them once a run."""

import csv
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from identity_graph.demo.generate import generate
from identity_graph.matcher.compiled import Compiled
from identity_graph.matcher.training import train_model, write_records
from identity_graph.services.observe import new_id
from identity_graph.store.graph import Graph

Traits = dict[str, Any]
FIELDS = ("first_name", "last_name", "dob", "street", "house_number", "postcode", "city", "email", "phone")


def people(count: int, seed: int = 5) -> list[Traits]:
    """The traits of invented people, all of them filled."""
    rows = csv.DictReader(generate(people=max(200, 3 * count), seed=seed)["crm.csv"].decode().splitlines())
    found = [{name: row[name] for name in FIELDS} for row in rows if all(row[name] for name in FIELDS)]
    assert len(found) >= count
    return found[:count]


def again(traits: Traits, number: int) -> Traits:
    """The same person as another source writes them down: some things missing, some mistyped."""
    changed = dict(traits)
    for name in (FIELDS[number % 4 + 5], FIELDS[number % 3 + 3]):
        changed.pop(name, None)
    if number % 2:
        name = ("first_name", "last_name")[number // 2 % 2]
        changed[name] = changed[name][:-1] if len(changed[name]) > 3 else changed[name]
    return changed


def records(count: int, seed: int = 5) -> list[tuple[str, str, Traits]]:
    """Source, record id and traits of the records of so many people."""
    found = people(count, seed)
    return [("crm", str(n), traits) for n, traits in enumerate(found)] + [
        ("shop", str(n), again(traits, n)) for n, traits in enumerate(found)
    ]


def model(folder: Path, *, doubles: bool = True) -> Compiled:
    """A model that is kept in a folder of this one. Without ``doubles`` each source holds a person once."""
    made = records(400, seed=3)
    if doubles:
        made += [(source, f"{id}b", again(traits, int(id) + 1)) for source, id, traits in made[::5]]
    rows = ((f"{source}/{id}", source, traits, None) for source, id, traits in made)
    return train_model(write_records(rows, folder), folder, lambda _: None)


def activated(graph: Graph, trained: Compiled, at: int = 1) -> None:
    """Let a model match what is written from now on."""
    version = trained.version
    graph.write(
        lambda tx: tx.do(
            "model/keep", version=version, trained_at=at, auto=trained.auto, review=trained.review, text=trained.words
        )
    )
    graph.write(lambda tx: tx.do("model/activate", version=version, at=at, act=new_id(), actor="ann", reason="because"))


def doubtful(trained: Compiled, seed: int = 9) -> Iterator[tuple[Traits, Traits]]:
    """Pairs of records that the model would rather have a person decide on, and that share a blocking value."""
    for traits in people(60, seed):
        for left_out in combinations(FIELDS, 5):
            other = {name: value for name, value in traits.items() if name not in left_out}
            pair = trained.fields(traits), trained.fields(other)
            weight = trained.evidence(*pair).weight
            blocks = [set(trained.blocks(fields)) - {None} for fields in pair]
            if trained.review + 0.5 <= weight < trained.auto - 0.5 and blocks[0] & blocks[1]:
                yield traits, other
                break
