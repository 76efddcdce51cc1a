"""The rules file: what it can say, and what it says of a mistake."""

import json
import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from identity_graph.cli_rules import rules_app
from identity_graph.domain.cleaning import Step
from identity_graph.domain.events import EVERY_TYPE, Declared, What
from identity_graph.domain.identifiers import identify
from identity_graph.domain.intake import Rejection, parse_observation
from identity_graph.domain.rules import (
    BLOCKED_PATTERNS,
    BLOCKED_PHONES,
    Blocked,
    Limits,
    NamespaceClass,
    NamespaceRule,
    Normaliser,
    Policy,
    Rules,
    Survivorship,
    TraitRule,
)
from identity_graph.services.rules_file import (
    EXPECTED,
    MOST_AGGREGATES,
    MOST_WAYS,
    RulesFileError,
    load_rules,
    parse_rules,
    ways,
)

EXAMPLE = Path(__file__).parents[2] / "docs" / "rules.example.toml"


def problems(text: str) -> list[tuple[int | None, str, str]]:
    """The line, key and whole sentence of each problem."""
    with pytest.raises(RulesFileError) as caught:
        parse_rules(dedent(text))
    return [(p.line, p.key, f"{p.message}. {p.advice}") for p in caught.value.problems]


# --- What it can say


def test_nothing_said_is_the_defaults() -> None:
    assert parse_rules("") == parse_rules("# nothing\n") == Rules()


def test_the_example_is_the_defaults_and_mentions_every_key() -> None:
    assert load_rules(EXAMPLE) == Rules()
    text = EXAMPLE.read_text()
    assert [key for key in EXPECTED if key not in text] == []
    assert [name for name in Rules().namespaces if f"[namespaces.{name}]" not in text] == []


def test_the_values_that_the_example_gives_in_comments_are_accepted() -> None:
    text = EXAMPLE.read_text()
    for line in re.findall(r"such as (\w+ = \[.*\])", text):
        parse_rules(f"[blocked]\n{line}")
    assert parse_rules('default_region = "NL"').default_region == "NL"


def test_everything_that_can_be_said() -> None:
    rules = parse_rules(
        dedent("""
        policy = "first_owner"
        size_cap = 50
        strict = true
        default_region = "GB"

        [defaults]
        limit = 5
        fan_out = 2

        [namespaces.email]
        limit = 3
        fan_out = "none"

        [namespaces.user_id]
        unique = false

        [namespaces."ios.id"]
        class = "DEVICE"
        limit = "none"

        [namespaces]
        member_no = { class = "CROSS_DEVICE", unique = true, limit = "none", priority = 1, normaliser = "lower" }

        [namespaces.crm_id]
        clean = ["trim", "upper"]
        rewrite = { 'NL-(\\d{1,9})' = '\\1' }
        map = { "Walk-in" = "anonymous" }

        [blocked]
        values = ["Walk-In", "ＮＩＸ"]
        patterns = ['test-\\d{1,9}']
        mailboxes = ["Info"]
        phones = ['\\+31\\d']

        [traits.country]
        survivorship = ["source_priority", "most_frequent"]
        sources = ["crm"]
        clean = ["trim", "country"]
        rewrite = { '(\\d{1,9}) pts' = '\\1' }
        map = { "Holland" = "NL" }
        unit = "kg"
        """)
    )
    default = Rules()
    assert rules.traits == {
        "country": TraitRule(
            (Survivorship.SOURCE_PRIORITY, Survivorship.MOST_FREQUENT),
            ("crm",),
            (Step.TRIM, Step.COUNTRY),
            ((r"(\d{1,9}) pts", r"\1"),),
            {"holland": "NL"},
            "kg",
        ),
    }
    assert Rules.from_json(rules.as_json()) == rules
    assert (rules.policy, rules.size_cap, rules.strict, rules.default_region) == (Policy.FIRST_OWNER, 50, True, "GB")
    assert rules.defaults == NamespaceRule(limit=5, fan_out=2)
    assert rules.rule("email") == replace(default.rule("email"), limit=3, fan_out=None)
    assert rules.rule("user_id") == replace(default.rule("user_id"), unique=False)
    assert rules.rule("ios.id") == NamespaceRule(cls=NamespaceClass.DEVICE, limit=None, fan_out=2)
    assert rules.rule("member_no") == NamespaceRule(unique=True, priority=1, normaliser=Normaliser.LOWER, fan_out=2)
    assert rules.rule("phone") == default.rule("phone")
    assert rules.rule("crm_id") == replace(
        default.rule("crm_id"),
        clean=(Step.TRIM, Step.UPPER),
        patterns=((r"NL-(\d{1,9})", r"\1"),),
        values={"walk-in": "anonymous"},
    )
    assert rules.blocked == Blocked(
        values=default.blocked.values | {"walk-in", "ｎｉｘ"},
        patterns=(*BLOCKED_PATTERNS, r"test-\d{1,9}"),
        phones=(*BLOCKED_PHONES, r"\+31\d"),
        mailboxes=default.blocked.mailboxes | {"info"},
    )
    assert identify("crm_id", "WALK-in", rules).blocked


def test_the_built_in_junk_can_be_dropped() -> None:
    rules = parse_rules('[blocked]\nbuiltin = false\nvalues = ["none"]')
    assert rules.blocked == Blocked(frozenset({"none"}), (), (), frozenset())


def test_rules_survive_being_kept_as_text() -> None:
    rules = parse_rules('size_cap = 7\n[namespaces.x]\nfan_out = 3\n[blocked]\nvalues = ["é"]')
    assert Rules.from_json(rules.as_json()) == rules
    assert Rules.from_json(rules.as_json()).version == rules.version != Rules().version


# --- What it says of a mistake


def test_every_mistake_at_once_each_with_its_line_and_advice() -> None:
    found = problems("""\
        polcy = "first_owner"
        policy = "latest-owner"
        size_cap = 0
        strict = "yes"
        default_region = "UK"
        [defaults]
        fan_out = "never"
        [namespaces.email]
        class = "email"
        prioriy = 3
        limit = 1.5
        [namespaces."no good"]
        unique = 1
        [namespaces]
        z = 3
        [blocked]
        values = [
          "a", # ]
          "", 'b', "c",
          3,
        ]
        patterns = ['ok', '(']
        mailboxes = ["info@shop.example"]
        builtin = "no"
        colour = "red"
        """)
    assert found == [
        (1, "polcy", "unknown key. Did you mean policy?"),
        (
            2,
            "policy",
            'found \'latest-owner\'. Expected one of "latest_owner", "first_owner". Did you mean "latest_owner"?',
        ),
        (3, "size_cap", "found 0. Expected a whole number of at least 1 (identifiers a profile)."),
        (4, "strict", "found 'yes'. Expected true or false."),
        (
            5,
            "default_region",
            'found \'UK\'. Expected a country code of two capital letters such as "NL" or "GB".',
        ),
        (7, "defaults.fan_out", "found 'never'. Expected a whole number of at least 0, or \"none\"."),
        (
            9,
            "namespaces.email.class",
            'found \'email\'. Expected one of "CROSS_DEVICE", "EMAIL", "PHONE", "DEVICE", "COOKIE", "RECORD". '
            'Did you mean "EMAIL"?',
        ),
        (10, "namespaces.email.prioriy", "unknown key. Did you mean priority?"),
        (11, "namespaces.email.limit", 'found 1.5. Expected a whole number of at least 1, or "none".'),
        (
            12,
            "namespaces.no good",
            "a namespace starts with a letter and has at most 64 letters, digits, '_', '.' or '-'. ",
        ),
        (13, "namespaces.no good.unique", "found 1. Expected true or false."),
        (15, "namespaces.z", "found 3. Expected a table, [namespaces.z]."),
        (19, "blocked.values[1]", "an empty text blocks nothing. Empty identifiers are refused anyway."),
        (20, "blocked.values[4]", "found 3. Expected a text."),
        (22, "blocked.patterns[1]", "not a regular expression: missing ), unterminated subpattern at position 0. "),
        (23, "blocked.mailboxes[0]", "a mailbox is the part before the @. A whole address belongs in values."),
        (24, "blocked.builtin", "found 'no'. Expected true or false."),
        (25, "blocked.colour", "unknown key. Known here: builtin, values, patterns, mailboxes, phones."),
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("size_cap 5", 1, "Expected '='"),
        ("size_cap = 5\nsize_cap = 6", 2, "Cannot overwrite a value"),
        ("a = 1\n\nb = ", 3, "Invalid value"),
        ("[blocked]\npatterns = [\n  'a',\n", 4, "Invalid value"),
        ('policy = "\\d"', 1, "Unescaped"),
        ("x = " + "[" * 5_000, None, "nested too deeply"),
    ],
)
def test_text_that_is_not_toml(text: str, line: int | None, says: str) -> None:
    ((found, _, sentence),) = problems(text)
    assert found == line
    assert says in sentence


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[defaults]\nunique = true\nlimit = 2", "defaults.limit"),
        ("[namespaces.user_id]\nlimit = 2", "namespaces.user_id.limit"),
        ("[defaults]\nlimit = 4\n[namespaces.x]\nunique = true", "namespaces.x.unique"),
    ],
)
def test_a_unique_namespace_has_no_other_limit(text: str, key: str) -> None:
    ((line, found, sentence),) = problems(text)
    assert (line, found) == (text.count("\n") + 1, key)
    assert "write unique = false" in sentence


@pytest.mark.parametrize("text", ["[namespaces.user_id]\nunique = false\nlimit = 2", "[namespaces.user_id]\nlimit = 1"])
def test_a_limit_that_contradicts_nothing_is_fine(text: str) -> None:
    assert parse_rules(text).rule("user_id").limit is not None


def test_sources_that_hold_each_person_once() -> None:
    rules = parse_rules('deduplicated_sources = ["crm", "shop/eu"]')
    assert rules.deduplicated_sources == {"crm", "shop/eu"}
    assert Rules.from_json(rules.as_json()) == rules
    assert rules.version != Rules().version
    ((line, key, sentence),) = problems('deduplicated_sources = "crm"')
    assert (line, key) == (1, "deduplicated_sources")
    assert 'a list of sources such as ["crm", "shop"]' in sentence


def test_a_line_is_found_however_toml_was_written() -> None:
    found = problems('''\
        """quoted""".x = 1
        ''')
    assert found[0][0] == 1
    found = problems("""\
        namespaces.email.prioriy = 1
        [ namespaces . "phone" ]  # a comment = with [signs]
        note = '''
        [namespaces.none]
        x = 1'''
        [blocked]
        patterns = ['''a
        ]''', '[']
        namespaces = { a = 1, values = [
          1 ] }
        """)
    assert [(line, key) for line, key, _ in found] == [
        (1, "namespaces.email.prioriy"),
        (3, "namespaces.phone.note"),
        (8, "blocked.patterns[1]"),
        (9, "blocked.namespaces"),
    ]


@given(st.text())
def test_any_text_is_rules_or_a_list_of_problems(text: str) -> None:
    try:
        found = parse_rules(text)
    except RulesFileError as e:
        found = e.problems
    assert isinstance(found, Rules) or all(p.message and p.line != 0 for p in found)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RulesFileError, match="cannot be read: No such file"):
        load_rules(tmp_path / "none.toml")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"strict = true\n# caf\xe9")
    with pytest.raises(RulesFileError, match="line 2: the text is not UTF-8"):
        load_rules(latin)
    latin.write_bytes(b"\xef\xbb\xbfstrict = true\r\nsize_cap = 5\r\n")
    assert load_rules(latin) == Rules(strict=True, size_cap=5)


def test_a_file_of_a_million_characters_is_refused() -> None:
    assert "at most 1,000,000 are read" in problems("#" * 1_000_001)[0][2]


# --- Regular expressions that a value could make slow


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a*)*b", "(a|aa)+", "(?:\\w+\\s?)*", "(.*)(.*)(.*)", ".*.*.*x", "(a{1,9}){1,9}b", "((a?b?){20})"],
)
def test_a_pattern_that_can_take_for_ever_is_refused(pattern: str) -> None:
    ((line, key, sentence),) = problems(f"[blocked]\nphones = ['{pattern}']")
    assert (line, key) == (2, "blocked.phones[0]")
    assert "can take very long" in sentence


@pytest.mark.parametrize(
    "pattern",
    [
        *BLOCKED_PATTERNS,
        *BLOCKED_PHONES,
        r"test.*@example\.(com|org)",
        r".*foo.*",
        r"(abc)+",
        r"[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}",
        r"(?i:guest)-\d{1,20}-[a-z]{1,20}-\d{1,20}",
        r"(?=x)(?>y)(a)?(?(1)b|c)z*+",
    ],
)
def test_an_ordinary_pattern_is_accepted(pattern: str) -> None:
    assert parse_rules(f"[blocked]\npatterns = ['{pattern}']").blocked.patterns[-1] == pattern or (
        pattern in BLOCKED_PATTERNS
    )


@pytest.mark.parametrize(
    ("pattern", "bound"),
    [("abc", 1), ("a?", 2), ("a|bcd|ef", 3), ("a{2,5}", 4), ("(a?){2}", 4), (".*", 513), (".*.*", 513**2)],
)
def test_the_ways_of_a_pattern(pattern: str, bound: int) -> None:
    assert ways(pattern) == bound <= MOST_WAYS


# --- The command


@pytest.fixture
def command() -> typer.Typer:
    app = typer.Typer()
    app.add_typer(rules_app, name="rules")
    return app


def test_check_shows_what_the_rules_amount_to(command: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("[namespaces.email]\nlimit = 3\n[namespaces.member_no]\nunique = true\nfan_out = 0\n")
    ran = CliRunner().invoke(command, ["rules", "check", str(file)])
    assert ran.exit_code == 0
    rows = {line.split()[0]: line.split()[1:] for line in ran.stdout.splitlines() if line.split()}
    assert rows["email"] == ["EMAIL", "3", "4", "email", "5", "changed"]
    assert rows["member_no"] == ["CROSS_DEVICE", "yes", "10", "text", "0", "new"]
    assert "changed" not in rows["phone"]


def test_check_prints_every_problem_with_file_and_line(command: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("\npolcy = 1\nsize_cap = [0]\n")
    ran = CliRunner().invoke(command, ["rules", "check", str(file)])
    assert ran.exit_code == 1
    assert ran.stdout == ""
    first, second, count = ran.stderr.splitlines()
    assert first == f"{file}:2 polcy: unknown key. Did you mean policy?"
    assert second.startswith(f"{file}:3 size_cap: found [0]. Expected a whole number")
    assert count == "2 problems; the file is not usable."


def test_check_speaks_json(command: typer.Typer, tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("size_cap = 5")
    good = CliRunner().invoke(command, ["rules", "check", str(file), "--json"])
    answer = json.loads(good.stdout)
    assert (good.exit_code, answer["usable"], answer["rules"]["size_cap"]) == (0, True, 5)
    assert answer["version"] == Rules(size_cap=5).version
    file.write_text("size_cap = -5")
    bad = CliRunner().invoke(command, ["rules", "check", str(file), "--json"])
    problem = {
        "line": 1,
        "key": "size_cap",
        "message": "found -5",
        "advice": "Expected a whole number of at least 1 (identifiers a profile).",
        "code": "INVALID_RULES",
    }
    assert (bad.exit_code, json.loads(bad.stdout)) == (1, {"usable": False, "problems": [problem]})


def test_check_of_a_missing_file_is_a_usage_error(command: typer.Typer, tmp_path: Path) -> None:
    ran = CliRunner().invoke(command, ["rules", "check", str(tmp_path / "none.toml")])
    assert ran.exit_code == 2
    assert "does not exist" in ran.stderr


def test_mistakes_in_the_rule_of_a_trait() -> None:
    found = problems("""\
        [traits.a]
        survivorship = ["newst"]
        [traits.b]
        survivorship = ["source_priority"]
        [traits.c]
        survivorship = "newest"
        [traits."é"]
        [traits.d]
        source = ["crm"]
        [traits.e]
        clean = ["trim", "uper"]
        unit = "stone"
        [traits.f]
        rewrite = { '(a+)+' = "x" }
        [traits.g]
        rewrite = { 'a' = '\\1' }
    """)
    assert [(line, key) for line, key, _ in found] == [
        (2, "traits.a.survivorship[0]"),
        (3, "traits.b"),
        (6, "traits.c.survivorship"),
        (7, "traits.é"),
        (9, "traits.d.source"),
        (11, "traits.e.clean[1]"),
        (12, "traits.e.unit"),
        (14, "traits.f.rewrite.(a+)+"),
        (15, "traits.g"),
    ]
    said = [sentence for _, _, sentence in found]
    assert 'Did you mean "newest"?' in said[0]
    assert "need each other" in said[1]
    assert '["most_frequent", "longest"]' in said[2]
    assert "Did you mean sources?" in said[4]
    assert 'Did you mean "upper"?' in said[5]
    assert '"lb"' in said[6]
    assert "can take very long" in said[7]
    assert "names a group" in said[8]


def test_limits_are_numbers_within_bounds() -> None:
    rules = parse_rules("[limits]\ntrait_bytes = 100\n")
    assert (rules.limits, parse_rules("").limits) == (Limits(100, 1_000), Limits(16_384, 1_000))
    assert Rules.from_json(rules.as_json()) == rules
    assert [(line, key) for line, key, _ in problems("[limits]\ntrait_bytes = 40000\ntrait_names = 0\nx = 1")] == [
        (2, "limits.trait_bytes"),
        (3, "limits.trait_names"),
        (4, "limits.x"),
    ]


def test_a_limit_is_kept_to() -> None:
    few = Rules(limits=Limits(trait_bytes=10))
    raw = {"id": "1", "source": "crm", "identifiers": [{"namespace": "email", "value": "a@x.org"}]}
    taken = parse_observation(raw | {"traits": {"a": "x" * 8}}, few, 1)
    refused = parse_observation(raw | {"traits": {"a": "x" * 9}}, few, 1)
    assert not isinstance(taken, Rejection)
    assert isinstance(refused, Rejection)
    assert (refused.code, refused.path) == ("PAYLOAD_TOO_LARGE", ("traits", "a"))


def test_what_is_wrong_has_a_code() -> None:
    with pytest.raises(RulesFileError) as caught:
        parse_rules("[blocked]\npatterns = ['(a+)+', '(', 3]\nx = 1")
    assert [(p.code, p.key) for p in caught.value.problems] == [
        ("EXPLODING_PATTERN", "blocked.patterns[0]"),
        ("INVALID_PATTERN", "blocked.patterns[1]"),
        ("INVALID_RULES", "blocked.patterns[2]"),
        ("INVALID_RULES", "blocked.x"),
    ]


def test_mistakes_in_the_cleaning_of_a_namespace() -> None:
    found = problems("""\
        [namespaces.a]
        clean = ["trim", "uper"]
        [namespaces.b]
        clean = ["country"]
        [namespaces.c]
        rewrite = { '(a+)+' = "x" }
        [namespaces.d]
        rewrite = { 'a' = '\\1' }
        [namespaces.e]
        unit = "kg"
        [namespaces.f]
        map = { "a" = 1 }
        [defaults]
        clean = "trim"
    """)
    told = {
        (2, "namespaces.a.clean[1]"): 'Did you mean "upper"?',
        (4, "namespaces.b.clean[0]"): 'one of "trim", "lower", "upper", "postcode"',
        (6, "namespaces.c.rewrite.(a+)+"): "can take very long",
        (7, "namespaces.d"): "names a group",
        (10, "namespaces.e.unit"): "unknown key",
        (12, "namespaces.f.map.a"): "found 1",
        (14, "defaults.clean"): "a list of steps",
    }
    assert [place for *place, _ in found] == [list(place) for place in told]
    assert [words for (*_, said), words in zip(found, told.values(), strict=True) if words not in said] == []


# --- Events


def test_how_long_events_are_kept() -> None:
    rules = parse_rules("[events.page]\nretention_days = 90\n[events.purchase]\n")
    assert rules.retention == {"page": 90}
    assert Rules.from_json(rules.as_json()) == rules
    said = "[events.Page]\n[events.page]\nretention = 5\n[events.view]\nretention_days = 0\n"
    assert problems(said) == [
        (1, "events.Page", "a type of event has 1 to 64 small letters, digits, '_', '.', ':' or '-'. "),
        (3, "events.page.retention", "unknown key. Did you mean retention_days?"),
        (
            5,
            "events.view.retention_days",
            "found 0. Expected a whole number of at least 1 (days that an event is kept).",
        ),
    ]


# --- Aggregates


def test_what_events_add_up_to_may_be_declared() -> None:
    rules = parse_rules(
        '[aggregates.orders_30_days]\nevents = "purchase"\nwhat = "count"\ndays = 30\n'
        '[aggregates.moved]\nwhat = "sum"\n'
    )
    assert rules.aggregates == {
        "orders_30_days": Declared("purchase", What.COUNT, 30),
        "moved": Declared(EVERY_TYPE, What.SUM, None),
    }
    assert Rules.from_json(rules.as_json()) == rules
    assert len({rules.version, replace(rules, aggregates={}).version, Rules().version}) == 2


def test_mistakes_in_what_is_declared() -> None:
    found = problems("""\
        [aggregates.last_seen]
        what = "count"
        [aggregates."a;b"]
        what = "count"
        [aggregates.c]
        what = "cont"
        days = 0
        events = "Page"
        [aggregates.d]
        day = 3
        [aggregates.e]
        what = "sum"
        days = 1.5
        events = 3
        [aggregates.f]
        what = "sum"
        days = 36501
        [aggregates]
        g = 3
    """)
    told = {
        (1, "aggregates.last_seen"): "take another name",
        (3, "aggregates.a;b"): "a trait's name here has 1 to 64 letters",
        (6, "aggregates.c.what"): 'Did you mean "count"?',
        (7, "aggregates.c.days"): "Expected a whole number from 1 to 36500",
        (8, "aggregates.c.events"): "a type of event has 1 to 64 small letters",
        (9, "aggregates.d.what"): 'missing. Give it as one of "count", "sum"',
        (10, "aggregates.d.day"): "Did you mean days?",
        (13, "aggregates.e.days"): "leave it out for all time",
        (14, "aggregates.e.events"): 'a type of event such as "purchase"',
        (17, "aggregates.f.days"): "found 36501",
        (19, "aggregates.g"): "Expected a table, [aggregates.g]",
    }
    assert [place for *place, _ in found] == [list(place) for place in told]
    assert [
        words for (*_, said), words in zip(found, told.values(), strict=True) if words.lower() not in said.lower()
    ] == []
    many = "".join(f'[aggregates.a{n}]\nwhat = "count"\n' for n in range(MOST_AGGREGATES + 1))
    ((line, key, message),) = problems(many)
    assert (line, key, "at most 20 may be declared. Each is counted" in message) == (1, "aggregates", True)


def test_the_aggregate_that_the_example_gives_is_accepted() -> None:
    said = re.findall(r"^#   (\w+ = \S+) ", EXAMPLE.read_text(), re.MULTILINE)
    text = "\n".join(
        ["[aggregates.orders_30_days]", *(one for one in said if one.split()[0] in ("events", "what", "days"))]
    )
    assert parse_rules(text).aggregates == {"orders_30_days": Declared("purchase", What.COUNT, 30)}
