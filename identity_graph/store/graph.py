"""The graph: reads and writes by named statements, in transactions that the driver retries."""

import base64
import hashlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any, LiteralString, Protocol, TypeVar, cast

import neo4j
from neo4j import GraphDatabase, NotificationMinimumSeverity, Query, unit_of_work

from identity_graph.store.errors import SchemaMismatch, StaleRead, TimedOut, our_errors
from identity_graph.store.segment_query import Compiled
from identity_graph.store.statements import Statement, all_statements, migrations, statement

T = TypeVar("T")

#: Nested time-outs in seconds: a lock gives up (5, set on the server) before its write, a write before its request.
WRITE_TIMEOUT = 8.0
READ_TIMEOUT = 2.0
LONG_READ_TIMEOUT = 600.0
#: Seconds after which a service's write has ended: it may be tried again for as long as it may take.
LONGEST_WRITE = 2 * WRITE_TIMEOUT
#: Seconds for what nobody waits for in a request, of a database that may have just started, on a busy machine.
UNHURRIED = 60.0


class Credentials(Protocol):
    """Where a database is and who asks."""

    @property
    def uri(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...


class Transaction:
    """An open transaction that runs named statements."""

    __slots__ = ("_tx",)

    def __init__(self, tx: neo4j.ManagedTransaction | neo4j.Transaction) -> None:
        self._tx = tx

    def run(self, name: str, /, **params: Any) -> list[tuple[Any, ...]]:
        """All rows, as tuples in the order of the statement's ``returns``."""
        return _rows(self._tx.run(statement(name).text, params))

    def one(self, name: str, /, **params: Any) -> Any:
        """The single value of a statement that returns one row of one column."""
        record = self._tx.run(statement(name).text, params).single(strict=True)
        return record[0]

    def do(self, name: str, /, **params: Any) -> None:
        """Run a statement that returns nothing."""
        self._tx.run(statement(name).text, params).consume()


class _DryRun(Exception):
    def __init__(self, result: object) -> None:
        self.result = result


class Graph:
    """The database. Thread-safe; sessions and transactions are its own affair."""

    def __init__(self, driver: neo4j.Driver, database: str, patience: float) -> None:
        self._driver, self._database, self._patience = driver, database, patience

    @classmethod
    def connect(cls, to: Credentials, *, database: str = "neo4j", patience: float = 0.0) -> "Graph":
        """Open a pool of connections.

        ``patience`` is the least number of seconds that a read is given, and that a write is tried again. A command has
        more than a service, in which others wait. How long one write takes is not a matter of patience: others rely on
        its bound.

        Notifications are off: on an empty graph every property key is unknown. The first retry comes after 20 ms: the
        driver's default makes a deadlock cost a second.
        """
        with our_errors():
            driver = GraphDatabase.driver(
                to.uri,
                auth=(to.user, to.password),
                initial_retry_delay=0.02,
                max_transaction_retry_time=max(WRITE_TIMEOUT, patience),
                connection_acquisition_timeout=max(READ_TIMEOUT * 2, patience),
                notifications_min_severity=NotificationMinimumSeverity.OFF,
            )
        return cls(driver, database, patience)

    def close(self) -> None:
        self._driver.close()

    def ping(self) -> None:
        """Raises a :class:`StoreError` where the database does not answer in time."""
        self.read("database/ping")

    def read(
        self, name: str, /, token: str | None = None, timeout: float = READ_TIMEOUT, **params: Any
    ) -> list[tuple[Any, ...]]:
        """Rows of one statement. ``token`` is a consistency token: the read sees at least that write."""
        return self._read(statement(name).text, params, token, timeout)

    def read_with(
        self, name: str, query: Compiled, /, token: str | None = None, timeout: float = READ_TIMEOUT, **params: Any
    ) -> list[tuple[Any, ...]]:
        """Rows of one statement with a segment's rule in it."""
        return self._read(query.into(name), params | query.params, token, timeout)

    def _read(
        self, text: LiteralString, params: dict[str, Any], token: str | None, timeout: float
    ) -> list[tuple[Any, ...]]:
        return self._alone(text, params, neo4j.READ_ACCESS, token, max(timeout, self._patience))

    def write_alone(self, name: str, /, **params: Any) -> None:
        """One statement that may as well run twice, as it does where the answer to the first time is lost."""
        self._alone(statement(name).text, params, neo4j.WRITE_ACCESS, None, WRITE_TIMEOUT)

    def _alone(
        self, text: LiteralString, params: dict[str, Any], mode: str, token: str | None, timeout: float
    ) -> list[tuple[Any, ...]]:
        """A statement alone is a transaction by itself, which takes half of the time: the server is asked once, not
        three times. If that fails in a way that may pass, the driver tries it again as it does with any other.
        """
        with our_errors():
            try:
                with self._session(token, mode) as session:
                    return _rows(session.run(Query(text, timeout=timeout), params))
            except (neo4j.exceptions.DriverError, neo4j.exceptions.Neo4jError) as e:
                if not e.is_retryable():
                    raise

            @unit_of_work(timeout=timeout)
            def again(tx: neo4j.ManagedTransaction) -> list[tuple[Any, ...]]:
                return _rows(tx.run(text, params))

            with self._session(token) as session:
                return session.execute_read(again) if mode == neo4j.READ_ACCESS else session.execute_write(again)

    def change_schema(self, text: LiteralString) -> None:
        """Run a statement that makes or drops an index, in a transaction of its own."""
        with our_errors(), self._session(None) as session:
            session.execute_write(_run_text, text)

    def read_many(self, work: Callable[[Transaction], T], token: str | None = None, timeout: float = READ_TIMEOUT) -> T:
        """Several statements in one read transaction."""

        @unit_of_work(timeout=max(timeout, self._patience))
        def run(tx: neo4j.ManagedTransaction) -> T:
            return work(Transaction(tx))

        with our_errors(), self._session(token) as session:
            return session.execute_read(run)

    def stream(self, name: str, /, **params: Any) -> Iterable[tuple[Any, ...]]:
        """Rows one by one, for reads too large to hold; no retry once the first row is out."""
        with our_errors(), self._session(None) as session, session.begin_transaction(timeout=LONG_READ_TIMEOUT) as tx:
            for record in tx.run(statement(name).text, params):
                yield tuple(record.values())

    def write(
        self,
        work: Callable[[Transaction], T],
        *,
        dry_run: bool = False,
        retry_stale: bool = True,
        timeout: float = WRITE_TIMEOUT,
    ) -> tuple[T, str]:
        """Run ``work`` in one transaction, again where others were in the way; its result and a consistency token.

        A dry run does the same and rolls back, so it tells exactly what would happen. Without ``retry_stale``, for
        work that rests on an earlier read, a stale read is a :class:`Conflict` at once.
        """
        asked = (work, dry_run, retry_stale, timeout)
        try:
            return self._write(*asked)
        except TimedOut:
            if not self._patience:
                raise
        # A command may be the first to write to a database that has just started. To plan that and load its code can
        # take longer than a write may, and is done by now.
        return self._write(*asked)

    def _write(
        self, work: Callable[[Transaction], T], dry_run: bool, retry_stale: bool, timeout: float
    ) -> tuple[T, str]:
        @unit_of_work(timeout=timeout)
        def run(tx: neo4j.ManagedTransaction) -> T:
            try:
                result = work(Transaction(tx))
            except neo4j.exceptions.ConstraintError as e:
                raise StaleRead("another writer made the same node first", retry=retry_stale) from e
            except StaleRead as e:
                raise StaleRead(*e.args, retry=retry_stale) from e
            if dry_run:
                raise _DryRun(result)
            return result

        with our_errors(), self._session(None) as session:
            try:
                result = session.execute_write(run)
            except _DryRun as done:
                return cast(T, done.result), ""
            return result, _token(session.last_bookmarks())

    @contextmanager
    def _session(self, token: str | None, mode: str = neo4j.WRITE_ACCESS) -> Generator[neo4j.Session]:
        bookmarks = _bookmarks(token) if token else None
        with self._driver.session(
            database=self._database, bookmarks=bookmarks, fetch_size=2000, default_access_mode=mode
        ) as session:
            yield session

    def migrate(self, now: int) -> list[str]:
        """Apply what is missing of ``cypher/migrations``; the names applied. Safe to run twice at once.

        Raises :class:`SchemaMismatch` where a migration was changed after it was applied, or where the graph has
        one that this program does not know.
        """
        with our_errors(), self._session(None) as schema:
            schema.execute_write(_run_text, statement("migration/prepare").text)

            @unit_of_work(timeout=LONG_READ_TIMEOUT)
            def work(tx: neo4j.ManagedTransaction) -> list[str]:
                held = Transaction(tx)
                held.do("migration/hold")
                missing = _missing(held.run("migration/list"))
                for name, checksum, text in missing:
                    for part in _parts(text):
                        schema.execute_write(_run_text, part)
                    held.do("migration/record", name=name, checksum=checksum, at=now)
                return [name for name, _, _ in missing]

            with self._session(None) as session:
                applied = session.execute_write(work)
            if applied:
                schema.execute_write(_run_text, statement("migration/await_indexes").text)
            return applied

    def is_current(self) -> bool:
        """Whether every migration of this program was applied."""
        return not _missing(self.read("migration/list"))

    def plan_writes(self) -> None:
        """Have every statement that writes lists planned, by giving it empty ones; it takes a second or two."""
        nothing = {"List": [], "Map": {}, "Integer": 0, "Float": 0.0, "String": ""}

        def work(tx: Transaction) -> None:
            for of in all_statements():
                if of.access == "write" and any(kind.startswith(("List", "Map")) for kind in of.params.values()):
                    tx.run(of.name, **{name: nothing[kind.partition("<")[0]] for name, kind in of.params.items()})

        self.write(work, dry_run=True, timeout=LONG_READ_TIMEOUT)

    def explain(self, of: Statement) -> neo4j.ResultSummary:
        """The plan of a statement, for tests."""
        with our_errors(), self._session(None) as session:
            params = dict.fromkeys(of.params)
            return session.run("EXPLAIN " + of.text, params).consume()


def _rows(result: neo4j.Result) -> list[tuple[Any, ...]]:
    return [tuple(record.values()) for record in result]


def _run_text(tx: neo4j.ManagedTransaction, text: LiteralString) -> None:
    tx.run(text).consume()


def _parts(text: str) -> list[LiteralString]:
    """A migration's statements. They are files of the program, not input, hence the cast."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("//"))
    return [cast(LiteralString, part.strip()) for part in code.split(";") if part.strip()]


def _missing(applied: list[tuple[Any, ...]]) -> list[tuple[str, str, str]]:
    """What is to be applied, as (name, checksum, text): each checksum covers the one before it, so it is a chain."""
    done = dict(cast(list[tuple[str, str]], applied))
    missing: list[tuple[str, str, str]] = []
    chain = ""
    for name, text in migrations():
        chain = hashlib.sha256((chain + text).encode()).hexdigest()
        if name in done:
            if done.pop(name) != chain:
                raise SchemaMismatch(f"{name} was changed after it was applied; restore it and add a new migration")
        else:
            missing.append((name, chain, text))
    if done:
        raise SchemaMismatch(f"the graph has {', '.join(sorted(done))}, which a newer program applied; upgrade")
    return missing


def join_tokens(tokens: Iterable[str]) -> str:
    """One consistency token for several writes."""
    values = {value for token in tokens if token for value in _decode(token)}
    return base64.urlsafe_b64encode("\n".join(sorted(values)).encode()).decode()


def _token(bookmarks: neo4j.Bookmarks) -> str:
    return base64.urlsafe_b64encode("\n".join(sorted(bookmarks.raw_values)).encode()).decode()


def _bookmarks(token: str) -> neo4j.Bookmarks | None:
    """Raises ``ValueError`` for a token that no write handed out."""
    return neo4j.Bookmarks.from_raw_values(_decode(token))


def _decode(token: str) -> list[str]:
    try:
        values = base64.urlsafe_b64decode(token.encode()).decode().split("\n")
    except ValueError:
        raise ValueError("not a consistency token") from None
    return [value for value in values if value]
