"""Work that is always one step ahead of who takes its results."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items in the same order; a thread makes the next one while one is worked on.

    What making an item raises is raised in its place. Once this iterator is closed no further item
    is made, and the thread is gone. Settings of JAX that hold for a thread, as
    ``with jax.enable_x64()``, do not reach it.

    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item  # pyright: ignore[reportReturnType]
