"""Have work done: here, or by workers of Dask, one here for each core or wherever they are."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..common.errors import UsageError
from .jobs import AnyJob, Finished
from .sandbox import SandboxDiedError
from .working import do

if TYPE_CHECKING:  # Dask takes half a second to import, and few submissions need none
    from .cluster import Remote

FEW = 6  # with less than this to run, starting workers takes longer than the work
AHEAD = 3  # submissions given out for each worker: it never waits, and memory stays flat


def finished(
    jobs: Iterable[AnyJob], workers: int, scheduler: "Remote | None"
) -> Iterator[Finished[AnyJob]]:
    """The jobs as their work ends, not in order; those without work pass at once.

    scheduler: a Dask scheduler elsewhere; None for workers of our own.
    Raises UsageError when there are no workers to be had, or when none of them can work.
    """
    jobs = iter(jobs)
    first, waiting = [], 0
    while scheduler is None and waiting < FEW:
        job = next(jobs, None)
        if job is None:
            yield from map(_done_here, first)
            return
        if job.work is None:
            yield Finished(job)
        else:
            waiting += 1
            first.append(job)
    from .cluster import client_of

    with client_of(workers, scheduler) as client:
        yield from _done_by(client, chain(first, jobs))


def _done_here(job: AnyJob) -> Finished[AnyJob]:
    if job.work is None:
        return Finished(job)
    try:
        return Finished(job, do(job.work))
    except UsageError:
        raise
    except Exception as error:
        return Finished(job, problem=_why(error))


def _done_by(client: Any, jobs: Iterable[AnyJob]) -> Iterator[Finished[AnyJob]]:
    from distributed import as_completed

    jobs = iter(jobs)
    given: dict[str, list[AnyJob]] = {}  # equal programs are run once
    running = as_completed()
    most = AHEAD * max(2, sum(client.nthreads().values()))
    exhausted = False
    while True:
        while not exhausted and len(given) < most:
            job = next(jobs, None)
            if job is None:
                exhausted = True
            elif job.work is None:
                yield Finished(job)
            elif job.key in given:
                given[job.key].append(job)
            else:
                given[job.key] = [job]
                running.add(client.submit(do, job.work, key=f"grade-{job.key}", retries=0))
        if not given:
            return
        future = next(running)
        for job in given.pop(future.key.removeprefix("grade-")):
            yield _outcome(job, future)
        future.release()


def _outcome(job: AnyJob, future: Any) -> Finished[AnyJob]:
    error = future.exception()
    if error is None:
        return Finished(job, future.result())
    if isinstance(error, UsageError):
        raise error
    return Finished(job, problem=_why(error))


def _why(error: BaseException) -> str:
    """One line on work that came to nothing: the machine's doing, or what nobody foresaw."""
    if isinstance(error, SandboxDiedError):
        return f"could not be judged: {error}"
    return f"could not be judged ({type(error).__name__}: {error})"
