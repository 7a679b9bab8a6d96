"""What passes through a crew, and what comes out of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:  # they need PyTorch, and a run with nothing to do has no need of it
    from .working import Done, Work


class Job(Protocol):
    """work: what is to be done for it, None for nothing. key: of the work; equal ones are done
    once."""

    @property
    def work(self) -> "Work | None": ...

    @property
    def key(self) -> str: ...


AnyJob = TypeVar("AnyJob", bound=Job)


@dataclass(frozen=True)
class Finished(Generic[AnyJob]):
    """A job, with what came of its work: something, or a problem, or neither if there was none."""

    job: AnyJob
    done: "Done | None" = None
    problem: str = ""
