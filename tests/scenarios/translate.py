"""Cases that other systems document, as JSON, turned into scenarios of our own form.

    python tests/scenarios/translate.py CASES.json

prints a first form of them: what scenarios expect beyond it was added by hand.

Each system is expressed by a rules file alone. What a rules file cannot say is left out of the scenario: time windows
of limits, and identifiers that are members of several profiles at once.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from identity_graph.domain.rules import Rules

Case = dict[str, Any]
Scenario = dict[str, Any]


def scenarios(cases: Iterable[Case]) -> Iterator[Scenario]:
    """The scenarios of every case that has events, by the system its id begins with."""
    for case in cases:
        system = case["id"].partition("/")[0]
        if "primary" in str(case.get("cases")):
            yield from strongest(case)
        elif "events" in case and system in TRANSLATORS:
            yield from TRANSLATORS[system](case)


def adobe(case: Case) -> Iterator[Scenario]:
    """Unique namespaces and priorities; a link removed there is one refused here."""
    named = case["rules"]["namespaces"]
    rules = {
        n["namespace"]: {"class": n["type"], "unique": n["unique_per_graph"], "priority": n["priority"]} for n in named
    }
    steps = [observe(event) for event in case["events"]]
    expected = case["expected"]
    expect: Scenario = {}
    if "groups" in expected:
        expect["groups"] = expected["groups"]
        expect["refused"] = [{"link": sorted(removed["link"])} for removed in expected["removed_links"]]
    for question, owners in expected.items():
        if question.startswith("owner_of_"):
            owned = question.removeprefix("owner_of_").removesuffix("_after").replace("_", ":", 1)
            owner = named[0]["namespace"]
            for step, name in owners.items():
                steps[int(step) - 1]["expect"] = {"together": [[f"{owner}:{name}", owned]]}
    yield scenario(case, "latest_owner", rules, steps, expect)


def strongest(case: Case) -> Iterator[Scenario]:
    rules = {name: {"priority": n} for n, name in enumerate(case["rules"]["priority"], 1)}
    for n, asked in enumerate(case["cases"], 1):
        event = {"identifiers": [{"namespace": name, "value": "x1"} for name in asked["namespaces"]]}
        made = scenario(case, "latest_owner", rules, [observe(event)], {"strongest": f"{asked['primary']}:x1"})
        yield {**made, "name": f"{case['id']}_{n}"}


def segment(case: Case) -> Iterator[Scenario]:
    """Limits a namespace, a priority list whose rest is alphabetical, blocked values; the older owner keeps."""
    said = case["rules"]
    seen = {identifier["type"] for event in case["events"] for identifier in event["identifiers"]}
    listed = [name for name in said["priority"] if not name.startswith("<")]
    ranked = listed + sorted(seen - set(listed))
    any_limit = said["limits"].get("*", "none")
    rules = {
        name: {"unique": False, "limit": said["limits"].get(name, any_limit), "priority": n}
        for n, name in enumerate(ranked, 1)
    }
    blocked = said.get("blocked_values_suggested", [])
    extra: Scenario = {
        "values": [b["exact"] for b in blocked if "exact" in b],
        "patterns": [b["pattern"] for b in blocked if "pattern" in b],
    }
    cap = said.get("profile_caps", {}).get("identifier_mappings")
    dropped = case["expected"].get("dropped_identifiers", {})
    steps = [observe(event) for event in case["events"]]
    refused = [
        {"link": sorted([gone, kept])}
        for step, keys in dropped.items()
        for gone in keys
        for kept in steps[int(step) - 1]["observe"]["identifiers"]
        if kept != gone
    ]
    expect = {"groups": case["expected"]["groups"], "refused": refused}
    yield scenario(case, "first_owner", rules, steps, expect, {"size_cap": cap} if cap else {}, extra)


def snowplow(case: Case) -> Iterator[Scenario]:
    """What several people used belongs to none of them: a fan-out of one."""
    unique = case["rules"].get("unique", [])
    rules = {
        name: {"unique": name in unique, "priority": 1 if name in unique else 2}
        | ({} if name in unique else {"fan_out": 1})
        for name in case["rules"]["identifiers"]
    }
    steps = [observe(event) for event in case["events"]]
    expected = case["expected"]
    if "groups" in expected:
        expect: Scenario = {"groups": expected["groups"], "refused": []}
    else:
        last: dict[str, str] = {}
        for step, profile in expected["profile_id_per_event"].items():
            keys = steps[int(step) - 1]["observe"]["identifiers"]
            last[min(keys, key=lambda key: rules[key.partition(":")[0]]["priority"])] = profile
        pairs = [[a, b] for a in last for b in last if a < b]
        expect = {
            "together": [pair for pair in pairs if last[pair[0]] == last[pair[1]]],
            "apart": [pair for pair in pairs if last[pair[0]] != last[pair[1]]],
        }
    yield scenario(case, "latest_owner", rules, steps, expect)


def posthog(case: Case) -> Iterator[Scenario]:
    """A person who is identified is never merged into another, unless somebody says so dangerously."""
    events = case["events"]
    known = {event["distinct_id"] for event in events} | {event["alias"] for event in events if "alias" in event}

    def key(name: str) -> str:
        return f"{'distinct_id' if name in known else 'anonymous_id'}:{name}"

    safe = all(event["op"] != "$merge_dangerously" for event in events)
    rules = {"distinct_id": {"unique": safe, "priority": 1}, "anonymous_id": {"priority": 2}}
    merged = case["expected"].get("merged", {})
    steps: list[Scenario] = []
    refused: list[Scenario] = []
    for event in events:
        pair = sorted([key(event["distinct_id"]), key(event.get("anon") or event["alias"])])
        step: Scenario = {"observe": {"identifiers": pair}}
        if str(event["order"]) in merged:
            together = merged[str(event["order"])]
            step["expect"] = {"together" if together else "apart": [pair]}
            refused += [] if together else [{"link": pair}]
        steps.append(step)
    expect = {"groups": [[key(name) for name in group] for group in case["expected"]["groups"]], "refused": refused}
    yield scenario(case, "first_owner", rules, steps, expect)


def mparticle(case: Case) -> Iterator[Scenario]:
    """Login ids are unique; changing one is a newer claim of the strongest other one. Visits are not modelled."""
    said = case["rules"]
    rules = {name: {"unique": name in said["unique_ids"], "priority": n} for n, name in enumerate(said["priority"], 1)}
    steps: list[Scenario] = []
    login = ""
    for event in case["events"]:
        keys = [f"{identifier['type']}:{identifier['value']}" for identifier in event["identifiers"]]
        login = next((key for key in keys if key.startswith(f"{said['priority'][0]}:")), login)
        if event["op"] == "modify":
            keys = [login, f"{event['modify']['type']}:{event['modify']['new_value']}"]
        steps.append({"observe": {"identifiers": keys}})
    groups = [keys for keys in case["expected"]["final_profiles"].values() if isinstance(keys, list)]
    pairs = [[group[0], key] for group in groups for key in group[1:]]
    yield scenario(case, "latest_owner", rules, steps, {"together": pairs})


#: A namespace without any rule of its own, as the scenarios' [defaults] have it.
PLAIN: Scenario = {
    "class": "CROSS_DEVICE",
    "unique": False,
    "limit": "none",
    "normaliser": "text",
    "fan_out": "none",
}

TRANSLATORS = {"adobe": adobe, "segment": segment, "snowplow": snowplow, "posthog": posthog, "mparticle": mparticle}


def observe(event: Case) -> Scenario:
    named = event["identifiers"]
    return {"observe": {"identifiers": [f"{i.get('namespace') or i['type']}:{i['value']}" for i in named]}}


def scenario(
    case: Case,
    policy: str,
    namespaces: dict[str, Scenario],
    steps: list[Scenario],
    expect: Scenario,
    top: Scenario | None = None,
    blocked: Scenario | None = None,
) -> Scenario:
    """The parts as a scenario, with nothing of our own defaults left in the rules."""
    lines = [f'policy = "{policy}"', *assignments(top or {}), "", "[defaults]", 'fan_out = "none"']
    for name, rule in namespaces.items():
        said = PLAIN | rule
        if name not in Rules().namespaces:
            said = {key: value for key, value in said.items() if value != PLAIN.get(key)}
        lines += ["", f'[namespaces."{name}"]' if "." in name else f"[namespaces.{name}]", *assignments(said)]
    lines += ["", "[blocked]", "builtin = false", *assignments({k: v for k, v in (blocked or {}).items() if v})]
    source = case.get("doc_url") or case["source"]
    return {"name": case["id"], "source": source, "rules": "\n".join(lines) + "\n", "steps": steps, "expect": expect}


def assignments(values: Scenario) -> list[str]:
    """`key = value` lines; what JSON and TOML write alike."""
    return [f"{key} = {json.dumps(value)}" for key, value in values.items()]


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def written(found: Iterable[Scenario]) -> str:
    options: dict[str, Any] = {"sort_keys": False, "width": 110, "default_flow_style": None, "allow_unicode": True}
    return yaml.dump_all(found, Dumper=_Dumper, **options)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        sys.stdout.write(written(scenarios(json.loads(Path(name).read_text())["cases"])))
