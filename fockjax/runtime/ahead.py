"""An iterator whose items a thread makes one step ahead."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """Yield the same items in the same order; a thread makes the next one meanwhile.

    An exception raised in making an item is raised in its place. Once this iterator is closed, no
    further item is made and the thread has ended. JAX settings of the calling thread, such as
    ``with jax.enable_x64()``, do not hold in it.

    >>> list(ahead(range(3)))
    [0, 1, 2]
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, source, end)
            yield item  # pyright: ignore[reportReturnType]
