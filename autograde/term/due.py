"""When a lesson is due: for the class, and later for whoever has an extension."""

from datetime import UTC, datetime, timedelta
from functools import cached_property

from .extending import extended
from .term import Term


class Dues:
    """The due dates of a term's gradebook, read when the first is asked for."""

    def __init__(self, term: Term) -> None:
        self._term = term

    def of(self, student: str, lesson: str) -> datetime | None:
        """Until when this student may hand in and not be late; None where there is no date."""
        due = self._read[0].get(lesson)
        return due + self._read[1].get((student, lesson), timedelta()) if due else None

    def is_late(self, student: str, lesson: str, handed_in: datetime | None) -> bool:
        """Whether that is late; nobody is whose time is not known."""
        due = self.of(student, lesson) if handed_in else None
        return due is not None and handed_in > due

    @cached_property
    def _read(self) -> tuple[dict[str, datetime], dict[tuple[str, str], timedelta]]:
        if not self._term.has_gradebook:
            return {}, {}
        from sqlalchemy import create_engine, select

        from .gradebook import assignments

        engine = create_engine(self._term.url)
        with engine.connect() as connection:
            dates = connection.execute(select(assignments.c.name, assignments.c.duedate))
            due = {name: date.replace(tzinfo=UTC) for name, date in dates if date}
            more = {(who, name): extra for name, who, _, extra in extended(connection)}
        engine.dispose()
        return due, more
