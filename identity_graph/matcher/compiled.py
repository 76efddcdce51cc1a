"""A trained model as the service needs it: what to keep of a record, which records to compare, and what a pair says."""

from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from math import log2
from pathlib import Path
from typing import Any

from identity_graph.domain.matches import Level, MatchEvidence, UnusableModel
from matching.batch import Record
from matching.errors import MatchingError
from matching.fields import words
from matching.model import Model
from matching.scorer import Score, Scorer

#: Values of blocking rules that a record keeps, each an indexed property.
BLOCKS = 16
RECORD, SOURCE, KNOWN = "record_key", "source", "known_person"
_RESERVED = {RECORD, SOURCE, KNOWN, "rid"}


def texts(traits: Mapping[str, Any]) -> dict[str, str]:
    """The traits that can be compared, as text, by names as columns of a table may have them."""
    found: dict[str, str] = {}
    for name, value in traits.items():
        column = words(name)
        if not column or not isinstance(value, str | int | float):
            continue
        column = f"{column}_" if column in _RESERVED else column
        found.setdefault(column, value if isinstance(value, str) else str(value))
    return found


class Compiled:
    """A model that scores. Immutable, and shared by threads."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.version, self.block_cap, self.trained_at = model.version, model.block_cap, model.trained_at
        #: Whether only records of different sources are compared, as each source holds a person once.
        self.across = model.fields.link_type == "link"
        self.auto, self.review = model.unguarded.auto, model.unguarded.review
        self._scorer = Scorer(model.settings, model.term_frequencies, model.average)

    @classmethod
    def load(cls, folder: Path, version: str) -> "Compiled":
        """The model of that version. Raises :class:`UnusableModel`."""
        try:
            return cls(Model.load(folder / version))
        except MatchingError as e:
            raise UnusableModel(
                f"the active model {version} is not in {folder} ({e}); copy its folder there, or activate another"
            ) from e

    @cached_property
    def weights(self) -> tuple[Level, ...]:
        """Every level of every comparison with its weight in bits, before term frequencies."""
        return tuple(
            Level(comparison["output_column_name"], level["label_for_charts"], _bits(level))
            for comparison in self._model.settings["comparisons"]
            for level in comparison["comparison_levels"]
            if not level.get("is_null_level")
        )

    @property
    def words(self) -> str:
        """What is expected of the thresholds, as a sentence."""
        return self._model.unguarded.words

    @property
    def notes(self) -> tuple[str, ...]:
        """What its training has to say."""
        return (*self._model.report["notes"], *self._model.report["warnings"])

    @property
    def prior(self) -> float:
        """The weight of two random records, in bits."""
        return self._scorer.prior_weight

    def fields(self, traits: Mapping[str, Any]) -> Record:
        """The traits as the model reads them; what is missing is left out."""
        found = self._model.normalise(texts(traits))
        return {name: value for name, value in found.items() if value is not None}

    def blocks(self, fields: Record) -> list[int | None]:
        """The value of each blocking rule, hashed; None where the record lacks a part of it."""
        found: list[int | None] = [None] * BLOCKS
        for key in self._model.blocking_keys(fields):
            number = int(key[1 : key.index(":")])
            digest = blake2b(f"{self.version}\x00{key}".encode(), digest_size=8).digest()
            found[number] = int.from_bytes(digest, signed=True)
        return found

    def evidence(self, left: Record, right: Record) -> MatchEvidence:
        """What speaks for and against two records being one person."""
        return self._said(self._scorer.score(left, right))

    def worth_review(self, left: Record, right: Record) -> MatchEvidence | None:
        """The evidence of a pair from the threshold of proposals on."""
        score = self._scorer.score_from(self.review, left, right)
        return self._said(score) if score else None

    def _said(self, score: Score) -> MatchEvidence:
        levels = tuple(Level(lv.comparison, lv.level, lv.weight) for lv in score.levels)
        return MatchEvidence(self.version, score.weight, score.probability, levels)


def _bits(level: Mapping[str, Any]) -> float:
    return log2(level["m_probability"] / level["u_probability"])
