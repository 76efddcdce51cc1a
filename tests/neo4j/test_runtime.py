"""The embedded database keeps its promises whatever happens to the processes around it."""

from neo4j import GraphDatabase

from identity_graph.neo4j_runtime import Connection


def test_the_run_has_a_server_of_the_version_asked_for(neo4j_connection: Connection) -> None:
    auth = (neo4j_connection.user, neo4j_connection.password)
    with GraphDatabase.driver(neo4j_connection.uri, auth=auth) as driver:
        records, _, _ = driver.execute_query("RETURN 1 AS one")
    assert records[0]["one"] == 1
