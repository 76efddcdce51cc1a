"""The active model for a person to look at, and what it says of any two records."""

from typing import TYPE_CHECKING

import orjson

from identity_graph.domain.matches import MatchEvidence
from identity_graph.services.match_records import KnownModel, Matching, known_models

if TYPE_CHECKING:
    from identity_graph.matcher.compiled import Compiled


class Scoring:
    """Answers from the model that matches now."""

    def __init__(self, matching: Matching | None) -> None:
        """Without matching there is no model."""
        self._matching = matching

    def model(self) -> "tuple[KnownModel, Compiled] | None":
        """The active model, and what is known of it."""
        model = self._matching.active() if self._matching else None
        if model is None or self._matching is None:
            return None
        known = next((m for m in known_models(self._matching.graph) if m.version == model.version), None)
        return (known, model) if known else None

    def score(self, one: str, other: str, token: str | None = None) -> MatchEvidence | None:
        """What the active model says of two records, by their keys; None where one of them is not there."""
        model = self._matching.active() if self._matching else None
        if model is None or self._matching is None:
            return None
        ((rows,),) = self._matching.graph.read("record/fields", token=token, keys=[one, other])
        fields = {key: model.fields(orjson.loads(traits)) for key, _, _, traits in rows}
        if one not in fields or other not in fields:
            return None
        left, right = sorted((one, other))
        return model.evidence(fields[left], fields[right])
