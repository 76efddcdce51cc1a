"""GraphiQL, to look around with in development: one page that works without a network. `make graphiql` builds it."""

import gzip
from functools import cache
from pathlib import Path

#: The page may run what it brings and talk to this service, nothing else.
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


@cache
def _compressed() -> bytes:
    return (Path(__file__).parent / "graphiql.html.gz").read_bytes()


def page() -> bytes:
    return gzip.decompress(_compressed())
