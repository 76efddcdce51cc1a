"""Blocks are counted as SQL would, and what makes too many pairs is left out."""

import duckdb
import pytest

from bench import people
from matching import configure
from matching.fields import LinkType


def test_one_rule_of_huge_blocks_stays_within_the_budget():
    """Blocks under the cap are too many all the same, so smaller ones have to do."""
    con = duckdb.connect()
    con.execute("CREATE TABLE records AS SELECT rid, '' AS source, CASE WHEN rid < 16000 THEN 'a' || rid // 400 "
                "ELSE 'b' || rid // 20 END AS first_name FROM range(20000) t(rid)")  # fmt: skip
    found = configure.profile(con, ["first_name"])
    assert configure.pair_budget(20_000) < 40 * 400 * 399 / 2
    rules, cap = configure.blocking_rules(con, found, "dedupe")
    assert rules
    assert cap < 400 == configure.block_cap(20_000)
    assert sum(rule.pairs for rule in rules) <= configure.pair_budget(20_000)
    assert [rule.dropped for rule in rules] == [40]


@pytest.mark.parametrize("link_type", ["dedupe", "link"])
def test_rules_make_the_pairs_that_they_count(link_type: LinkType):
    con = duckdb.connect()
    con.execute("CREATE TABLE records (rid BIGINT, source VARCHAR, first_name VARCHAR, last_name VARCHAR, dob VARCHAR)")
    rows = [
        (i, "ab"[i % 5 > 1], *(person.values[name] or None for name in ("first_name", "last_name", "dob")))
        for i, person in enumerate(people.people(2_000, seed=8))
    ]
    con.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
    rules, cap = configure.blocking_rules(con, configure.profile(con, ["first_name", "last_name", "dob"]), link_type)
    assert any(rule.dropped for rule in rules)
    assert any(len(rule.atoms) > 1 for rule in rules)
    assert cap == configure.block_cap(len(rows))
    across = "AND l.source <> r.source" if link_type == "link" else ""
    for rule in rules:
        key = ", ".join(atom.sql for atom in rule.atoms)
        there = " AND ".join(f"{atom.sql} > ''" for atom in rule.atoms)
        con.execute(
            f"CREATE OR REPLACE TABLE k AS SELECT rid, source, row({key})::VARCHAR AS key FROM records WHERE {there}"
        )
        con.execute("CREATE OR REPLACE TABLE sizes AS SELECT key, count(*) AS n FROM k GROUP BY 1")
        pairs = (
            f"k l JOIN k r ON l.key = r.key AND l.rid < r.rid {across} JOIN sizes s ON s.key = l.key WHERE n <= {cap}"
        )
        wanted = con.sql(f"SELECT (SELECT count(*) FROM {pairs}), count(*) FILTER (n > {cap}) FROM sizes").fetchall()[0]
        assert (rule.pairs, rule.dropped) == wanted, rule.text
