"""Which of our errors the database's become: whether a client sends the same again depends on it."""

import pytest
from neo4j import exceptions as driver

from identity_graph.store.errors import (
    Conflict,
    OutcomeUnknown,
    Refused,
    StoreError,
    TimedOut,
    Unavailable,
    our_errors,
)

CODES = {
    "Neo.TransientError.Transaction.DeadlockDetected": Conflict,
    "Neo.TransientError.Transaction.Outdated": Conflict,
    "Neo.TransientError.Transaction.ConstraintsChanged": Conflict,
    "Neo.TransientError.Transaction.LockAcquisitionTimeout": TimedOut,
    "Neo.TransientError.Transaction.LockClientStopped": TimedOut,
    "Neo.TransientError.Transaction.BookmarkTimeout": TimedOut,
    "Neo.ClientError.Transaction.TransactionTimedOut": TimedOut,
    "Neo.TransientError.General.DatabaseUnavailable": Unavailable,
    "Neo.TransientError.General.OutOfMemoryError": Unavailable,
    "Neo.TransientError.General.MemoryPoolOutOfMemoryError": Unavailable,
    "Neo.ClientError.General.ForbiddenOnReadOnlyDatabase": Unavailable,
    "Neo.ClientError.Security.Forbidden": Unavailable,
    "Neo.DatabaseError.Transaction.TransactionCommitFailed": Unavailable,
    "Neo.DatabaseError.General.UnknownError": Unavailable,
    "Neo.DatabaseError.General.StorageDamageDetected": Unavailable,
    "Neo.DatabaseError.Statement.ExecutionFailed": Refused,
    "Neo.ClientError.Statement.ArgumentError": Refused,
    "Neo.ClientError.Schema.ConstraintValidationFailed": Refused,
    "Neo.ClientError.Transaction.InvalidBookmark": Refused,
}


@pytest.mark.parametrize(("code", "expected"), CODES.items())
def test_only_what_values_bring_about_is_refused(code: str, expected: type[StoreError]) -> None:
    error = driver.Neo4jError._basic_hydrate(neo4j_code=code, message="a value: ada@example.com")  # pyright: ignore
    with pytest.raises(expected) as raised, our_errors():
        raise error
    assert "ada" not in str(raised.value)
    assert raised.value.retryable is not issubclass(expected, Refused)


def test_a_commit_that_broke_is_neither_done_nor_refused() -> None:
    with pytest.raises(OutcomeUnknown), our_errors():
        raise driver.IncompleteCommit("connection lost")
