"""The next one while this one is in use."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Generator[T]:
    """The items, each drawn while the one before it is in use."""
    with ThreadPoolExecutor(1) as drawing:
        drawn = drawing.submit(next, items, None)
        while (item := drawn.result()) is not None:
            drawn = drawing.submit(next, items, None)
            yield item
