"""Have work done: here, or by workers of Dask, one here for each core or wherever they are."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..common.errors import UsageError
from .sandbox import SandboxDiedError
from .working import Done, Work, do

if TYPE_CHECKING:  # Dask takes half a second to import, and few submissions need none
    from .cluster import Remote

FEW = 6  # with less than this to run, starting workers takes longer than the work
AHEAD = 3  # submissions given out for each worker: it never waits, and memory stays flat


@dataclass
class Item:
    """A submission on its way through a run. work: what is to be done for it, None for nothing.

    done, problem: what came of the work.
    """

    name: str
    work: Work | None = None
    key: str = ""
    done: Done | None = None
    problem: str = ""
    held: dict[str, Any] = field(default_factory=dict)


def finished(items: Iterable[Item], workers: int, scheduler: "Remote | None") -> Iterator[Item]:
    """The items as their work ends, not in order; those without work pass at once.

    scheduler: a Dask scheduler elsewhere; None for workers of our own.
    Raises UsageError when there are no workers to be had, or when none of them can work.
    """
    items = iter(items)
    first, waiting = [], 0
    while scheduler is None and waiting < FEW:
        item = next(items, None)
        if item is None:
            yield from map(_done_here, first)
            return
        waiting += item.work is not None
        first.append(item)
        if waiting < FEW and item.work is None:
            yield first.pop()
    from .cluster import client_of

    with client_of(workers, scheduler) as client:
        yield from _done_by(client, chain(first, items))


def _done_here(item: Item) -> Item:
    if item.work is not None:
        try:
            item.done = do(item.work)
        except UsageError:
            raise
        except Exception as error:
            item.problem = _why(error)
    return item


def _done_by(client: Any, items: Iterable[Item]) -> Iterator[Item]:
    from distributed import as_completed

    items = iter(items)
    given: dict[str, list[Item]] = {}  # equal programs are run once
    running = as_completed()
    most = AHEAD * max(2, sum(client.nthreads().values()))
    exhausted = False
    while True:
        while not exhausted and len(given) < most:
            item = next(items, None)
            if item is None:
                exhausted = True
            elif item.work is None:
                yield item
            elif item.key in given:
                given[item.key].append(item)
            else:
                given[item.key] = [item]
                running.add(client.submit(do, item.work, key=f"grade-{item.key}", retries=0))
        if not given:
            return
        future = next(running)
        for item in given.pop(future.key.removeprefix("grade-")):
            yield _outcome(item, future)
        future.release()


def _outcome(item: Item, future: Any) -> Item:
    error = future.exception()
    if error is None:
        item.done = future.result()
    elif isinstance(error, UsageError):
        raise error
    else:
        item.problem = _why(error)
    return item


def _why(error: BaseException) -> str:
    """One line on work that came to nothing: the machine's doing, or what nobody foresaw."""
    if isinstance(error, SandboxDiedError):
        return f"could not be judged: {error}"
    return f"could not be judged ({type(error).__name__}: {error})"
