"""Reading ahead: threads open and decode the next images while the network works on these."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from time import perf_counter
from typing import TypeVar

from torch.utils.data import Dataset

Item = TypeVar("Item")  # what the data set holds


def load_ahead(dataset: Dataset[Item], chunks: Iterable[tuple[int, range]],
               threads: int = 2) -> Iterator[tuple[int, list[Item], float]]:
    """Each chunk's number, its items in order, and the seconds that were waited for them; two chunks are read ahead.

    chunks: (number, indices into the data set). An exception of the data set is raised when its chunk is reached.
    """
    pool, todo = ThreadPoolExecutor(threads), iter(chunks)
    waiting: deque[tuple[int, list[Future[Item]]]] = deque()
    try:
        while True:
            start = perf_counter()
            for number, indices in islice(todo, 3 - len(waiting)):
                waiting.append((number, [pool.submit(dataset.__getitem__, i) for i in indices]))
            if not waiting:
                return
            number, futures = waiting.popleft()
            items = [future.result() for future in futures]
            yield number, items, perf_counter() - start
    finally:
        pool.shutdown(cancel_futures=True)
