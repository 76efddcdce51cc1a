"""Our errors of the database.

StoreError
├── Unavailable        the database cannot be reached, or cannot go on     retryable
├── TimedOut           it took longer than its time-out                    retryable
├── Conflict           others kept changing the same profiles              retryable
├── RulesChanged       other rules took the place of those that decided: decide again by the new ones
├── OutcomeUnknown     the connection broke during a commit: send the same observations again, their ids make it safe
├── SchemaMismatch     migrations changed, missing, or from a newer program
└── Refused            the database refused the statement: a defect of ours or a value that it cannot hold
"""

from collections.abc import Generator
from contextlib import contextmanager

from neo4j import exceptions as driver


class StoreError(Exception):
    """A sentence without personal data; ``retryable`` where the same call may succeed later."""

    retryable = False


class Unavailable(StoreError):
    retryable = True


class TimedOut(StoreError):
    retryable = True


class Conflict(StoreError):
    retryable = True


class RulesChanged(StoreError):
    pass


class OutcomeUnknown(StoreError):
    retryable = True


class SchemaMismatch(StoreError):
    pass


class Refused(StoreError):
    pass


class StaleRead(driver.DriverError):
    """What was read before the lock changed meanwhile. The driver's own retry runs the work again, if it may."""

    def __init__(self, *args: object, retry: bool = True) -> None:
        super().__init__(*args)
        self._retry = retry

    def is_retryable(self) -> bool:
        return self._retry


@contextmanager
def our_errors() -> Generator[None]:
    """Turn the driver's errors into ours. Messages of the server may quote values, so only its code is kept."""
    try:
        yield
    except driver.IncompleteCommit as e:
        raise OutcomeUnknown("the connection broke during a commit; send the same observations again") from e
    except StaleRead as e:
        raise Conflict("the same profiles kept changing; try again") from e
    except (driver.ServiceUnavailable, driver.SessionExpired, driver.AuthError) as e:
        raise Unavailable(f"the database cannot be reached ({type(e).__name__})") from e
    except driver.Neo4jError as e:
        raise _by_code(e.code or "unknown") from e
    except driver.DriverError as e:
        raise Unavailable(f"the database cannot be reached ({type(e).__name__})") from e


#: What values can bring about. A commit, a store, the memory and the rights fail whatever the values are.
_BY_VALUES = (
    "Neo.ClientError.Statement.",
    "Neo.ClientError.Schema.",
    "Neo.ClientError.Transaction.",
    "Neo.DatabaseError.Statement.",
)


def _by_code(code: str) -> StoreError:
    """Ours for one of Neo4j's. A client that is refused does not send the same again, so little is a refusal."""
    # A transaction whose time is over while it waits for a lock is a stopped client of that lock.
    late = ("TransactionTimedOut", "LockAcquisitionTimeout", "LockClientStopped", "BookmarkTimeout")
    if any(part in code for part in late):
        return TimedOut("the database took too long")
    if any(changed in code for changed in ("Deadlock", "Outdated", "ConstraintsChanged")):
        return Conflict("the same profiles kept changing; try again")
    if code.startswith(_BY_VALUES):
        return Refused(f"the database refused a statement ({code})")
    return Unavailable(f"the database cannot go on ({code}); its log tells why")
