"""A trained model as a directory:

model.json      the Splink model, usable by Splink itself
tf/COLUMN.parquet   term frequencies (value, tf): Splink does not keep them in its model
meta.json       version, thresholds, how fields are read, blocking rules, data fingerprint, training report
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from matching import normalise
from matching.batch import Plan, Record, make_plan
from matching.configure import Atom, Rule, blocking_keys
from matching.errors import InputError, ModelError
from matching.fields import FieldMap
from matching.settings import COMPARISONS, PRIOR, checked_comparisons, checked_prior, load_settings, tf_columns
from matching.thresholds import Thresholds

FORMAT = 3


@dataclass(frozen=True)
class Model:
    """Everything that scoring, in batch or for one record, needs to know. Immutable once trained.

    `thresholds` are for clusters, which hold apart the records of a source that holds each person once; `unguarded` are
    for merging record by record, where all pairs count.
    """

    version: str
    settings: Mapping[str, Any]
    term_frequencies: Mapping[str, Mapping[str, float]]
    thresholds: Thresholds
    unguarded: Thresholds
    fields: FieldMap
    day_first: Mapping[str, bool]
    rules: tuple[Rule, ...]
    block_cap: int
    fingerprint: str
    trained_at: str
    report: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def save(self, directory: Path) -> None:
        """Write the model; an existing one in the directory is replaced."""
        (directory / "tf").mkdir(parents=True, exist_ok=True)
        (directory / "model.json").write_text(json.dumps(self.settings, indent=1), encoding="utf-8")
        for column, table in self.term_frequencies.items():
            rows = sorted(table.items())
            arrow = pa.table({"value": [v for v, _ in rows], "tf": [tf for _, tf in rows]})
            pq.write_table(arrow, directory / "tf" / f"{column}.parquet")
        meta = {
            "format": FORMAT,
            "version": self.version,
            "trained_at": self.trained_at,
            "fingerprint": self.fingerprint,
            "thresholds": self.thresholds.as_dict(),
            "unguarded": self.unguarded.as_dict(),
            "fields": self.fields.as_dict(),
            "day_first": dict(self.day_first),
            "rules": [
                {"atoms": [[a.column, a.start, a.length] for a in r.atoms], "pairs": r.pairs, "dropped": r.dropped}
                for r in self.rules
            ],
            "block_cap": self.block_cap,
            "report": self.report,
        }
        (directory / "meta.json").write_text(json.dumps(meta, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> "Model":
        """Read a saved model. Raises ModelError where it is missing, damaged or of another format."""
        try:
            meta = cast("dict[str, Any]", json.loads((directory / "meta.json").read_text(encoding="utf-8")))
            if meta.get("format") != FORMAT:
                raise ModelError(
                    f"the model in {directory.name} has format {meta.get('format')!r}; this version reads {FORMAT}. "
                    "Train it anew with `identity-graph match train`"
                )
            settings = load_settings(directory / "model.json")
            checked_prior(settings.get(PRIOR))
            checked_comparisons(settings.get(COMPARISONS))
            frequencies: dict[str, dict[str, float]] = {}
            for file in sorted((directory / "tf").glob("*.parquet")):
                table = pq.read_table(file)
                frequencies[file.stem] = dict(
                    zip(table.column("value").to_pylist(), table.column("tf").to_pylist(), strict=True)
                )
            if missing := set(tf_columns(settings)) - set(frequencies):
                raise ModelError(f"the model in {directory.name} lacks the file tf/{min(missing)}.parquet")
            fields = cast("dict[str, Any]", meta["fields"])
            return cls(
                version=meta["version"],
                settings=settings,
                term_frequencies=frequencies,
                thresholds=Thresholds.from_dict(meta["thresholds"]),
                unguarded=Thresholds.from_dict(meta["unguarded"]),
                fields=FieldMap(
                    fields.get("id"),
                    fields.get("source"),
                    fields.get("link_type"),
                    {role: tuple(columns) for role, columns in fields["fields"].items()},
                    fields.get("identifiers", {}),
                ),
                day_first=meta["day_first"],
                rules=tuple(Rule(tuple(Atom(*a) for a in r["atoms"]), r["pairs"], r["dropped"]) for r in meta["rules"]),
                block_cap=meta["block_cap"],
                fingerprint=meta["fingerprint"],
                trained_at=meta["trained_at"],
                report=meta["report"],
            )
        except InputError as error:
            raise ModelError(f"the model in {directory.name} is damaged: model.json: {error}") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            raise ModelError(
                f"{directory.name} holds no readable model ({type(error).__name__}); expected the directory that "
                "`identity-graph match train --model DIR` wrote"
            ) from error

    @cached_property
    def plan(self) -> Plan:
        """How raw values become a normalised record: dates are read as they were in training."""
        return make_plan(self.fields, lambda column: normalise.DateOrder(self.day_first.get(column, True), 0, 0, 0))

    @property
    def average(self) -> dict[str, float]:
        """Bits that the candidates of training have in each comparison on the average."""
        return {comparison["name"]: comparison["average"] for comparison in self.report.get("comparisons", ())}

    def normalise(self, raw: Mapping[str, str | None]) -> Record:
        """A raw record (by the column names of the training data) as the scorer wants it."""
        return self.plan.normalise(raw)

    def blocking_keys(self, record: Record) -> list[str]:
        """Keys of a normalised record; two records that share one are candidates."""
        return blocking_keys(self.rules, record)


def new_version(fingerprint: str, trained_at: str) -> str:
    """A readable version: date, time and the data it saw."""
    return f"{re.sub(r'[^0-9]', '', trained_at)[:14]}-{fingerprint[:8]}"
