"""Our errors of the database.

StoreError
├── Unavailable        the database cannot be reached                      retryable
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
        code = e.code or "unknown"
        if "TransactionTimedOut" in code or "LockAcquisitionTimeout" in code:
            raise TimedOut("the database took too long") from e
        if isinstance(e, driver.TransientError) or "Deadlock" in code:
            raise Conflict("the same profiles kept changing; try again") from e
        raise Refused(f"the database refused a statement ({code})") from e
    except driver.DriverError as e:
        raise Unavailable(f"the database cannot be reached ({type(e).__name__})") from e
