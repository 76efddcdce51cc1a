"""What the demonstration finds to show in anybody's graph, and says where there is nothing."""

from io import StringIO

from rich.console import Console
from sending import said

from identity_graph.demo import tour
from identity_graph.demo.loading import Load
from identity_graph.demo.service import Client
from identity_graph.domain.rules import Rules
from identity_graph.services.submit import write_batch
from identity_graph.store.graph import Graph


def test_a_graph_without_merges_shared_devices_and_second_devices_is_told_to_lack_them(graph: Graph) -> None:
    rules, out = Rules(), StringIO()
    write_batch(graph, [said("one", "email:a@x.org", "cookie_id:a"), said("two", "email:b@x.org")], rules)
    guide = tour.Tour(Console(file=out), Client("nowhere"), graph, rules, Load())
    lacking = [show(guide) for show in (tour.before_and_after, tour.not_glued, tour.across_devices)]
    assert [sentence is not None and sentence.partition(" ")[0] for sentence in lacking] == ["Two", "A", "A"]
    assert out.getvalue() == ""


def test_what_two_people_share_is_shown_where_nothing_is_shared_by_many(graph: Graph) -> None:
    rules, out = Rules(), StringIO()
    for who in ("user_id:ada", "user_id:bob"):
        write_batch(graph, [said(who, who, "device_id:laptop")], rules)
    guide = tour.Tour(Console(file=out, width=100), Client("nowhere"), graph, rules, Load())
    assert tour.not_glued(guide) is None
    shown = out.getvalue()
    assert "no, UNIQUE_NAMESPACE" in shown
    assert shown.count("device_id laptop — user_id") == 2
