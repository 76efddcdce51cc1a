"""The report of a score: one HTML file without scripts or links. It shows no person."""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from identity_graph.domain.scores import Judged, Model, feature_names
from identity_graph.domain.traits import as_date

#: Features that are shown, the weightiest.
SHOWN = 20

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;margin:0 auto;max-width:900px;padding:2rem 1.5rem 5rem}
h2{font-size:1.2rem;margin:2.4rem 0 .4rem;border-bottom:1px solid #dfe5ec}
table{border-collapse:collapse;width:100%;font-size:14px}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #dfe5ec}
svg{max-width:420px;height:auto;display:block;margin:.6rem 0}
"""


def render(model: Model, judged: Judged, trained: Mapping[str, Any]) -> str:
    """The HTML of a model, how it was judged, and what it was ``trained`` on."""
    task = model.task
    weights = zip(feature_names(model.types), model.weights, strict=True)
    heaviest = sorted(weights, key=lambda one: -abs(one[1]))[:SHOWN]
    verdict = "better than" if judged.brier < judged.brier_base else "no better than"
    return "".join([
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_e(task.name)}</title><style>{_STYLE}</style>",
        f"<h1>{_e(task.name)}</h1><p>Will somebody do <b>{_e(task.type)}</b> within {task.days} days? ",
        f"Model {_e(model.version)}, {verdict} always saying the share of those who did.</p>",
        "<h2>Judged by a later time</h2>",
        _table(("", ""), [
            ("learnt from", _group(trained["people"], trained["learnt_at"], trained["share"])),
            ("judged by", _group(judged.people, trained["judged_at"], judged.share)),
            ("area under the curve", f"{judged.auc:.3f} (0.5 is chance)"),
            ("Brier score", f"{judged.brier:.4f} (always saying the share: {judged.brier_base:.4f})"),
        ]),
        "<h2>Are its probabilities right?</h2>",
        _chart(judged),
        _table(("profiles", "expected", "came"), [
            (f"{b.people:,}", f"{b.expected:.1%}", f"{b.observed:.1%}") for b in judged.bins
        ]),
        "<h2>What it looks at</h2><p>Weights of standardised features; above 0 speaks for it.</p>",
        _table(("feature", "weight"), [(name, f"{weight:+.3f}") for name, weight in heaviest]),
        "</html>\n",
    ])  # fmt: skip


def _chart(judged: Judged) -> str:
    """Expected (across) against what came (up), beside the line where they are equal."""
    points = "".join(
        f'<circle cx="{20 + 260 * b.expected:.1f}" cy="{280 - 260 * b.observed:.1f}" r="5" fill="#2f6db3"/>'
        for b in judged.bins
    )
    return (
        '<svg viewBox="0 0 300 300" role="img" aria-label="expected against what came">'
        '<path d="M20 20V280H280M20 280L280 20" fill="none" stroke="#5b6b7c"/>' + points + "</svg>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = "".join(f"<tr>{''.join(f'<td>{_e(cell)}' for cell in row)}" for row in rows)
    return f"<table><tr>{''.join(f'<th>{_e(one)}' for one in head)}{lines}</table>"


def _group(people: int, at: int, share: float) -> str:
    return f"{people:,} profiles at {as_date(at)}, {share:.1%} did"


def _e(value: object) -> str:
    return html.escape(str(value))
