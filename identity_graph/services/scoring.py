"""The active model for a person to look at, and what it says of any two records."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import orjson

from identity_graph.domain.evidence import LinkKind, Refusal, RefusalCode, link_id
from identity_graph.domain.matches import PROPOSED, RETRACTED, MatchEvidence, ProposalStatus
from identity_graph.services.match_records import KnownModel, Matching, known_models
from identity_graph.services.profiles import LinkRow

if TYPE_CHECKING:
    from identity_graph.matcher.compiled import Compiled, Record


class WhyNot(StrEnum):
    """Why the model does not join two records."""

    MATCHED = "MATCHED"
    PROPOSED = "PROPOSED"
    KEPT_APART = "KEPT_APART"
    REFUSED = "REFUSED"
    UNLIKELY = "UNLIKELY"
    NOT_COMPARED = "NOT_COMPARED"
    PENDING = "PENDING"


@dataclass(frozen=True, slots=True)
class Unmatched:
    """The reason, in a sentence too, and what speaks for and against the pair. ``MATCHED`` is none: they are joined."""

    reason: WhyNot
    message: str
    evidence: MatchEvidence


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
        fields = self._fields(model, one, other, token)
        return model.evidence(*fields) if model and fields else None

    def why_not(self, one: str, other: str, token: str | None = None) -> Unmatched | None:
        """Why two records are not matched; None where one of them is not there."""
        model = self._matching.active() if self._matching else None
        fields = self._fields(model, one, other, token)
        if model is None or self._matching is None or fields is None:
            return None
        evidence = model.evidence(*fields)
        ids = [link_id(*pair, LinkKind.MATCHED, "") for pair in ((one, other), (other, one))]
        ((rows,),) = self._matching.graph.read("link/details", token=token, ids=ids)
        for row in (LinkRow(*row) for row in rows):
            if row.state == PROPOSED:
                ((_, status, *_),) = self._matching.graph.read("proposal/find", token=token, id=row.id)
                return Unmatched(*_PROPOSED[ProposalStatus(status)], evidence)
            if row.state != RETRACTED:
                return Unmatched(*_judged(row), evidence)
        if evidence.weight < model.review:
            least = f"{evidence.weight:.1f} bits speak for it, and a proposal needs {model.review:.1f}."
            return Unmatched(WhyNot.UNLIKELY, least, evidence)
        blocks = [{(n, value) for n, value in enumerate(model.blocks(f)) if value is not None} for f in fields]
        if blocks[0].isdisjoint(blocks[1]):
            return Unmatched(
                WhyNot.NOT_COMPARED, "They share no value of a blocking rule, so nobody compared them.", evidence
            )
        waits = "They wait for their comparison, or all that they share is shared by too many records to compare."
        return Unmatched(WhyNot.PENDING, waits, evidence)

    def _fields(self, model: "Compiled | None", one: str, other: str, token: str | None) -> "list[Record] | None":
        """Both records as the model reads them, in the order of their keys."""
        if model is None or self._matching is None:
            return None
        ((rows,),) = self._matching.graph.read("record/fields", token=token, keys=[one, other])
        fields = {key: model.fields(orjson.loads(traits)) for key, _, _, traits in rows}
        return [fields[key] for key in sorted((one, other))] if one in fields and other in fields else None


_PROPOSED = {
    ProposalStatus.OPEN: (WhyNot.PROPOSED, "It is proposed, and waits for a person's decision."),
    ProposalStatus.MERGED: (WhyNot.MATCHED, "It was proposed, and a person joined them."),
    ProposalStatus.KEPT_APART: (WhyNot.KEPT_APART, "It was proposed, and a person decided that they are two."),
}


def _judged(row: LinkRow) -> tuple[WhyNot, str]:
    if row.reason is None:
        return WhyNot.MATCHED, "They are matched: the link joins them."
    return WhyNot.REFUSED, Refusal(RefusalCode(row.reason), tuple(row.parties or ())).message
