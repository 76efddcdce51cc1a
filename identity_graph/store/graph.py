"""The graph: reads and writes by named statements, in transactions that the driver retries."""

import base64
import hashlib
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from random import uniform
from time import monotonic, sleep
from typing import Any, LiteralString, Protocol, TypeVar, cast

import neo4j
from neo4j import GraphDatabase, NotificationMinimumSeverity, Query, unit_of_work

from identity_graph.store.errors import SchemaMismatch, StaleRead, TimedOut, our_errors
from identity_graph.store.segment_query import Compiled
from identity_graph.store.statements import all_statements, migrations, statement

T = TypeVar("T")

#: Nested time-outs in seconds: a lock gives up (5, set on the server) before its write, a write before its request.
WRITE_TIMEOUT = 8.0
READ_TIMEOUT = 2.0
LONG_READ_TIMEOUT = 600.0
#: Seconds after which a service's write has ended, all its tries: the server looks every two whose time is over.
LONGEST_WRITE = WRITE_TIMEOUT + 2.0
#: Seconds before the second try of what others were in the way of, and twice that before each next one.
FIRST_PAUSE = 0.02
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

        ``patience`` is the least number of seconds that a read is given, and all tries of a write together. A command
        has more than a service, in which others wait. How long one try of a write takes is not a matter of patience:
        others rely on its bound.

        Notifications are off: on an empty graph every property key is unknown. The driver tries nothing again, see
        :meth:`_transact`.
        """
        with our_errors():
            driver = GraphDatabase.driver(
                to.uri,
                auth=(to.user, to.password),
                max_transaction_retry_time=-1,
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
        three times. If that fails in a way that may pass, it is tried again as any other.
        """
        with our_errors():
            until = self._until(timeout)
            try:
                with self._session(token, mode) as session:
                    return _rows(session.run(Query(text, timeout=timeout), params))
            except (neo4j.exceptions.DriverError, neo4j.exceptions.Neo4jError) as e:
                if not e.is_retryable():
                    raise

            def again(tx: neo4j.ManagedTransaction) -> list[tuple[Any, ...]]:
                return _rows(tx.run(text, params))

            return self._transact(again, timeout, until, mode, token)[0]

    def change_schema(self, text: LiteralString) -> None:
        """Run a statement that makes or drops an index, in a transaction of its own."""
        with our_errors():
            self._transact(lambda tx: _run_text(tx, text), None)

    def read_many(
        self,
        work: Callable[[Transaction], T],
        token: str | None = None,
        timeout: float = READ_TIMEOUT,
        until: float | None = None,
    ) -> T:
        """Several statements in one read transaction; ``until`` as for :meth:`write`."""

        def run(tx: neo4j.ManagedTransaction) -> T:
            return work(Transaction(tx))

        with our_errors():
            return self._transact(run, max(timeout, self._patience), until, neo4j.READ_ACCESS, token)[0]

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
        until: float | None = None,
    ) -> tuple[T, str]:
        """Run ``work`` in one transaction, again where others were in the way; its result and a consistency token.

        ``timeout`` is in seconds, and all tries together take no longer, unless there is more patience. Where one write
        is several transactions, ``until`` bounds them all: a moment that :meth:`deadline` told.

        A dry run does the same and rolls back, so it tells exactly what would happen. Without ``retry_stale``, for
        work that rests on an earlier read, a stale read is a :class:`Conflict` at once.
        """
        asked = (work, dry_run, retry_stale, timeout, until)
        try:
            return self._write(*asked)
        except TimedOut:
            if not self._patience:
                raise
        # A command may be the first to write to a database that has just started. To plan that and load its code can
        # take longer than a write may, and is done by now.
        return self._write(*asked)

    def _write(
        self,
        work: Callable[[Transaction], T],
        dry_run: bool,
        retry_stale: bool,
        timeout: float,
        until: float | None,
    ) -> tuple[T, str]:
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

        with our_errors():
            try:
                result, bookmarks = self._transact(run, timeout, until)
            except _DryRun as done:
                return cast(T, done.result), ""
            return result, _token(bookmarks)

    def deadline(self) -> float:
        """The moment, of ``time.monotonic``, by which a write that begins now has ended."""
        return self._until(WRITE_TIMEOUT)

    def _until(self, timeout: float | None) -> float:
        return monotonic() + max(timeout or 0.0, WRITE_TIMEOUT, self._patience)

    def _transact(
        self,
        work: Callable[[neo4j.ManagedTransaction], T],
        timeout: float | None,
        until: float | None = None,
        mode: str = neo4j.WRITE_ACCESS,
        token: str | None = None,
    ) -> tuple[T, neo4j.Bookmarks]:
        """Run ``work`` in one transaction, again where what failed may pass, and have ended by the moment ``until``.

        ``timeout`` is that of one try, None for the server's. The driver's own retry gives every try all of it anew
        and begins the last one as the time is up: three times 8 s, for a request that waits 10. Here a try gets what
        is left of the time.
        """
        until = until or self._until(timeout)
        pause = FIRST_PAUSE
        while True:
            left = until - monotonic()
            if left <= 0:
                raise TimedOut("the database took too long")
            run = unit_of_work(timeout=None if timeout is None else min(timeout, left))(work)
            try:
                with self._session(token, mode) as session:
                    done = session.execute_read(run) if mode == neo4j.READ_ACCESS else session.execute_write(run)
                    return done, session.last_bookmarks()
            except (neo4j.exceptions.DriverError, neo4j.exceptions.Neo4jError) as e:
                # Two that were in each other's way must not come back at the same moment.
                pause *= uniform(0.8, 1.2)  # noqa: S311 - no secret
                if not e.is_retryable() or monotonic() + pause >= until:
                    raise
            sleep(pause)
            pause *= 2

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
        with our_errors():
            self.change_schema(statement("migration/prepare").text)

            def work(tx: neo4j.ManagedTransaction) -> list[str]:
                held = Transaction(tx)
                held.do("migration/hold")
                missing = _missing(held.run("migration/list"))
                for name, checksum, text in missing:
                    for part in _parts(text):
                        self.change_schema(part)
                    held.do("migration/record", name=name, checksum=checksum, at=now)
                return [name for name, _, _ in missing]

            applied, _ = self._transact(work, LONG_READ_TIMEOUT)
            if applied:
                self.change_schema(statement("migration/await_indexes").text)
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
