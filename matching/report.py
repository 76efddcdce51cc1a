"""The report of a run: one HTML file without scripts or links, its charts drawn as SVG."""

import html
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from matching.model import Model
from matching.pipeline import Outcome, Weigher
from matching.scorer import Score

_STYLE = """
:root{--ink:#1d2733;--soft:#5b6b7c;--line:#dfe5ec;--good:#1f7a5c;--bad:#b3452f;--blue:#2f6db3;--pale:#f5f7fa}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);margin:0 auto;max-width:1040px;padding:2rem 1.5rem 5rem}
h1{font-size:1.7rem;margin:0 0 .2rem}
h2{font-size:1.2rem;margin:2.6rem 0 .4rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
h3{font-size:1rem;margin:1.4rem 0 .3rem}
p{margin:.4rem 0}
.soft{color:var(--soft)}
table{border-collapse:collapse;width:100%;font-size:14px;margin:.5rem 0}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600}
td.n,th.n{text-align:right;width:9rem;font-variant-numeric:tabular-nums}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(125px,1fr));gap:.8rem;margin:1.2rem 0}
.tile{background:var(--pale);border-radius:8px;padding:.7rem .9rem;font-size:13px}
.tile b{display:block;font-size:1.35rem;font-variant-numeric:tabular-nums}
.warn{background:#fff6e5;border-left:3px solid #d99a1c;padding:.5rem .8rem;margin:.4rem 0}
.warn ul{margin:.2rem 0;padding-left:1.2rem}
svg{max-width:100%;height:auto;display:block;margin:.4rem 0}
svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .soft{fill:var(--soft)}
"""


def _e(value: object) -> str:
    return html.escape(str(value))


def _short(label: object) -> str:
    """As much of a label as fits before a bar."""
    text = str(label)
    return _e(text if len(text) <= 38 else text[:37] + "…")


def render(outcome: Outcome, name: str) -> str:
    """The HTML of a run on the file `name`. It shows levels and weights, and no value of any record."""
    model, report = outcome.model, outcome.model.report
    sizes = Counter(Counter(outcome.clusters.label.tolist()).values())
    clusters = sum(sizes.values())
    sections = [
        _tiles([
            ("records", f"{len(outcome.record_ids):,}"),
            ("clusters", f"{clusters:,}"),
            ("largest", f"{max(sizes, default=0):,}"),
            ("pairs compared", f"{report['pairs_compared']:,}"),
            ("merged from", f"{model.thresholds.auto:.1f} bits"),
            ("expected precision", f"{model.thresholds.expected.precision:.1%}"),
            ("expected recall", f"{model.thresholds.expected.recall:.1%}"),
        ]),
        f"<p>{_e(model.thresholds.words[0].upper() + model.thresholds.words[1:])}. "
        f"Pairs from {model.thresholds.review:.1f} bits on are for review. {_prior_words(model)}",
        f"{_unguarded(model)}</p>",
        "".join(f"<p class='warn'>{_e(note)}</p>" for note in report["notes"]), _mended(report["warnings"]),
        "<h2>What was read as what</h2>", _fields(model),
        "<h2>Match weights</h2><p class='soft'>Bits that a comparison's level adds. Green speaks for a match, "
        "red against; where term frequencies apply, a rare value weighs more than shown and a common one less.</p>",
        _weights(model),
        "<h2>How often levels occur</h2><p class='soft'>m: among records of one person. u: among different people. "
        "A level “shared” or “same …, same …” is counted among the pairs that share that much. What tells relatives "
        "apart is set, not counted, and left out here.</p>", _m_u(model),
        "<h2>Threshold</h2><p class='soft'>Expected precision and recall of merging every pair from a weight on, from "
        "the model's own probabilities; no labels were used.</p>", _curve(outcome),
        "<h2>Blocking</h2>", _blocking(report),
        "<h2>Pairs near the threshold</h2>", _waterfalls(outcome),
        "<h2>Clusters</h2>", _sizes(sizes, outcome),
        "<h2>What was chosen, and why</h2>", _chosen(report),
        "<h2>Time</h2>", _table(["step", "seconds"], [(k, f"{v:.2f}") for k, v in outcome.prepared.seconds.items()]),
    ]  # fmt: skip
    return (
        f"<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Matching {_e(name)}</title><style>{_STYLE}</style><h1>Matching {_e(name)}</h1>"
        f"<p class='soft'>Model {_e(model.version)}, trained {_e(model.trained_at)} on {report['records']:,} records "
        f"({_e(report['link_type']).replace('_', ' ')})</p>{''.join(sections)}</html>"
    )


def _mended(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<li>{_e(warning)}</li>" for warning in warnings)
    return f"<div class='warn'>Training reports:<ul>{items}</ul></div>"


def _unguarded(model: Model) -> str:
    if model.unguarded == model.thresholds:
        return ""
    return f" Record by record, where rivals are not held apart, {_e(model.unguarded.words)}."


def _prior_words(model: Model) -> str:
    prior = float(model.settings["probability_two_random_records_match"])
    if model.report.get("link_type") == "link":
        return f"As a match rules out all others of both records, a pair is one in {1 / prior:,.0f} to begin with."
    return f"Two records drawn at random match once in {1 / prior:,.0f} times."


def _tiles(tiles: Iterable[tuple[str, str]]) -> str:
    return f"<div class='tiles'>{''.join(f'<div class=tile>{_e(k)}<b>{_e(v)}</b></div>' for k, v in tiles)}</div>"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns of nothing but numbers are set to the right, with their heads."""
    texts = [[_e(value) for value in row] for row in rows]
    right = [bool(texts) and all(row[i][:1] in "-−0123456789" for row in texts) for i in range(len(head))]

    def line(tag: str, values: Sequence[str]) -> str:
        return "<tr>" + "".join(
            f"<{tag}{' class=n' if is_right else ''}>{value}</{tag}>"
            for value, is_right in zip(values, right, strict=True)
        ) + "</tr>"  # fmt: skip

    return f"<table>{line('th', [_e(h) for h in head])}{''.join(line('td', row) for row in texts)}</table>"


def _fields(model: Model) -> str:
    filled = cast("dict[str, float]", model.report["filled"])
    distinct = cast("dict[str, int]", model.report["distinct"])
    columns = _table(["what", "column"], model.fields.describe())
    made = [(c, f"{filled[c]:.1%}", f"{distinct[c]:,}") for c in filled if filled[c] > 0]
    return f"{columns}<h3>After normalising</h3>{_table(['field', 'filled', 'different values'], made)}"


def _levels(model: Model) -> list[tuple[str, list[Mapping[str, Any]]]]:
    return [
        (str(c["output_column_name"]), [lv for lv in c["comparison_levels"] if not lv.get("is_null_level")])
        for c in model.settings["comparisons"]
    ]


def _weight(level: Mapping[str, Any]) -> float:
    return math.log2(level["m_probability"] / level["u_probability"])


def _bars(rows: Sequence[tuple[str, str, float]], note: Sequence[str] | None = None, unit: str = "") -> str:
    """Bars to the left and right of zero; a row is (group, label, value)."""
    top = max((abs(v) for _, _, v in rows), default=1.0) or 1.0
    left, width, step = 400, 560, 20
    low = min(0.0, min((v for _, _, v in rows), default=0.0))
    span = top - low if low < 0 else top
    zero = left + (-low / span) * (width - 60)
    scale = (width - 60) / span
    parts: list[str] = []
    before = ""
    y = 4
    for i, (group, label, value) in enumerate(rows):
        if group != before:
            y += 8 if before else 0
            parts.append(f"<text x='0' y='{y + 13}' font-weight='600'>{_e(group.replace('_', ' '))}</text>")
            before = group
        size = max(abs(value) * scale, 0.5)
        x = zero if value >= 0 else zero - size
        colour = "var(--good)" if value >= 0 else "var(--bad)"
        parts.append(f"<text x='120' y='{y + 13}'>{_short(label)}</text>")
        parts.append(f"<rect x='{x + 70:.1f}' y='{y + 3}' width='{size:.1f}' height='13' rx='2' fill='{colour}'/>")
        shown = note[i] if note else f"{value:+.1f}{unit}"
        parts.append(
            f"<text class='soft' x='{(x + size if value >= 0 else zero) + 75:.1f}' y='{y + 13}'>{_e(shown)}</text>"
        )
        y += step
    return f"<svg viewBox='0 0 1040 {y + 6}' width='1040' role='img'>{''.join(parts)}</svg>"


def _weights(model: Model) -> str:
    rows = [(name, str(lv["label_for_charts"]), _weight(lv)) for name, levels in _levels(model) for lv in levels]
    return _bars(rows)


def _m_u(model: Model) -> str:
    parts: list[str] = []
    y = 18
    titles = ((385, "m: same person"), (725, "u: different people"))
    head = "".join(f"<text x='{x}' y='10' class='soft'>{title}</text>" for x, title in titles)
    for name, levels in _levels(model):
        if name in ("relative", "suffix"):
            continue
        parts.append(f"<text x='0' y='{y + 13}' font-weight='600'>{_e(name.replace('_', ' '))}</text>")
        for level in levels:
            m, u = float(level["m_probability"]), float(level["u_probability"])
            parts.append(f"<text x='120' y='{y + 13}'>{_short(level['label_for_charts'])}</text>")
            for x, value, colour in ((385, m, "var(--blue)"), (725, u, "var(--bad)")):
                parts.append(
                    f"<rect x='{x}' y='{y + 3}' width='{max(value * 240, 0.5):.1f}' height='13' fill='{colour}'/>"
                )
                shown = f"{value:.1%}" if value > 0.001 else f"{value:.1e}"
                parts.append(f"<text class='soft' x='{x + value * 240 + 5:.1f}' y='{y + 13}'>{shown}</text>")
            y += 19
        y += 6
    return f"<svg viewBox='0 0 1040 {y}' width='1040' role='img'>{head}{''.join(parts)}</svg>"


def _curve(outcome: Outcome) -> str:
    points = outcome.curve
    if not points:
        return "<p>No pair was compared.</p>"
    low, high = points[0].weight, points[-1].weight

    def x(weight: float) -> float:
        return 50 + (weight - low) / (high - low) * 940

    def line(values: Sequence[float], colour: str, label: str, at: int) -> str:
        path = " ".join(f"{x(p.weight):.1f},{230 - v * 210:.1f}" for p, v in zip(points, values, strict=True))
        return (
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"
            f"<text x='{at}' y='288' fill='{colour}' style='fill:{colour}'>— {label}</text>"
        )

    auto, review = outcome.model.thresholds.auto, outcome.model.thresholds.review
    marks = "".join(
        f"<line x1='{x(w):.1f}' x2='{x(w):.1f}' y1='2' y2='230' stroke='var(--soft)' stroke-dasharray='4 3'/>"
        f"<text class='soft' x='{x(w) + 4:.1f}' y='12'>{label}</text>"
        for w, label in ((auto, "merged from here"), (max(review, low), "for review from here"))
    )
    grid = "".join(
        f"<line x1='50' x2='990' y1='{230 - v * 210}' y2='{230 - v * 210}' stroke='var(--line)'/>"
        f"<text class='soft' x='8' y='{234 - v * 210}'>{v:.0%}</text>"
        for v in (0, 0.25, 0.5, 0.75, 1)
    )
    ticks = "".join(
        f"<text class='soft' x='{x(w):.1f}' y='248' text-anchor='middle'>{w}</text>"
        for w in range(math.ceil(low), math.floor(high) + 1, 5)
    )
    return (
        "<svg viewBox='0 0 1040 300' width='1040' role='img'>" + grid + ticks + marks
        + "<text class='soft' x='520' y='266' text-anchor='middle'>match weight, bits</text>"
        + line([p.precision for p in points], "var(--good)", "expected precision", 200)
        + line([p.recall for p in points], "var(--blue)", "expected recall", 400)
        + line([p.f1 for p in points], "var(--bad)", "expected F1", 580) + "</svg>"
    )  # fmt: skip


def _blocking(report: Mapping[str, Any]) -> str:
    rows = [
        (r["rule"], f"{r['pairs']:,}", f"{r['blocks_left_out']:,}")
        for r in cast("list[dict[str, Any]]", report["rules"])
    ]
    possible, compared = report["pairs_possible"], report["pairs_compared"]
    return (
        f"<p>{compared:,} of {possible:,.0f} possible pairs were compared, each once. "
        "[a:b] is the part of a value that starts at a and is b long.</p>"
        + _table(["rule", "pairs", "blocks too large to use"], rows)
    )


def _waterfalls(outcome: Outcome, wanted: int = 6) -> str:
    """Sample pairs around the threshold, some to either side."""
    pairs = outcome.near_threshold(wanted)
    if not pairs:
        return "<p>No pair was scored.</p>"
    weigher = Weigher(outcome.prepared.con, outcome.model)
    weigher.load_pairs(pairs)
    parts: list[str] = []
    for i, j in pairs:
        score = weigher.explain(i, j)
        ids = f"{outcome.record_ids[i]} and {outcome.record_ids[j]}"
        merged = "in one cluster" if outcome.clusters.label[i] == outcome.clusters.label[j] else "apart"
        parts.append(f"<h3>{_e(ids)}: {score.weight:.1f} bits, p = {score.probability:.3f}, {merged}</h3>")
        parts.append(waterfall(score, weigher.scorer.prior_weight))
    return "".join(parts)


def waterfall(score: Score, prior: float) -> str:
    """The weights of one pair as an SVG, running from the prior to the final weight."""
    steps = [("prior", "two random records", prior)]
    steps += [(lv.comparison, lv.level, lv.weight) for lv in score.levels if lv.weight]
    ends: list[float] = []
    running = 0.0
    for _, _, weight in steps:
        running += weight
        ends.append(running)
    low, high = min(0.0, *ends), max(0.0, *ends)
    scale = 560 / ((high - low) or 1)
    parts: list[str] = []
    start = 0.0
    y = 2
    for (name, label, weight), end in zip(steps, ends, strict=True):
        x = 400 + (min(start, end) - low) * scale
        colour = "var(--soft)" if name == "prior" else "var(--good)" if weight >= 0 else "var(--bad)"
        parts.append(f"<text x='0' y='{y + 13}'>{_e(name.replace('_', ' '))}</text>")
        parts.append(f"<text class='soft' x='130' y='{y + 13}'>{_short(label)}</text>")
        wide = max(abs(weight) * scale, 1)
        parts.append(f"<rect x='{x:.1f}' y='{y + 3}' width='{wide:.1f}' height='13' rx='2' fill='{colour}'/>")
        parts.append(f"<text class='soft' x='{x + abs(weight) * scale + 5:.1f}' y='{y + 13}'>{weight:+.1f}</text>")
        start = end
        y += 19
    zero = 400 - low * scale
    parts.append(f"<line x1='{zero:.1f}' x2='{zero:.1f}' y1='0' y2='{y}' stroke='var(--soft)' stroke-dasharray='2 3'/>")
    return f"<svg viewBox='0 0 1040 {y + 2}' width='1040' role='img'>{''.join(parts)}</svg>"


def _sizes(sizes: Mapping[int, int], outcome: Outcome) -> str:
    shown = sorted(sizes)
    shown = shown if len(shown) <= 20 else [*shown[:10], *shown[-10:]]
    rows = [("records", str(size), float(sizes[size])) for size in shown]
    note = [f"{sizes[size]:,}" for size in shown]
    alone = sizes.get(1, 0)
    left_out = len(sizes) - len(shown)
    words = f"<p>{left_out:,} sizes between the ten smallest and the ten largest are not shown.</p>" if left_out else ""
    words += (
        f"<p>{alone:,} records stand alone. Cross-checks, and the bound on a cluster's size, refused "
        f"{outcome.clusters.refused:,} unions that a link asked for; "
        f"{outcome.clusters.exclusive_refused:,} more would have put two records of a source that holds each "
        "person once into one cluster.</p>"
    )
    unlinkable = outcome.unlinkable
    words += (
        f"<p>Unlinkable: {unlinkable:,} records say so little that even an exact copy of them would stay below the "
        "threshold.</p>"
    )
    return words + _bars(rows, note)


def _chosen(report: Mapping[str, Any]) -> str:
    rows = [(c["name"], c["why"]) for c in cast("list[dict[str, Any]]", report["comparisons"])]
    words = (
        f"<p>EM took {report['iterations']} rounds and expects {report['matches_expected']:,.0f} matching pairs among "
        f"{report['pairs_possible']:,.0f}"
        + (f", and {report['household_pairs']:,.0f} pairs of one household" if report["household_pairs"] else "")
        + ".</p>"
    )
    return words + _table(["comparison", "why"], rows)
