"""Times as platforms and people write them."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

SEPARATED = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)? ?"
    r"(Z|[+-]\d\d:?\d\d|[A-Za-z]\w*(?:/[\w+-]+)*)?\s*"
)
RUN_ON = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})?\s*")  # older Sakai: GMT


def local_zone() -> str:
    """The zone of this machine, by whose clock a time without a zone is read."""
    return datetime.now().astimezone().tzname() or "local time"


def read_time(text: str) -> datetime | None:
    """A time with its zone, of this machine where it names none; None for anything else."""
    found = SEPARATED.fullmatch(text.strip()) or RUN_ON.fullmatch(text.strip())
    if not found:
        return None
    *numbers, fraction = found.groups()[:7]
    zone = found[8] if found.re is SEPARATED else "UTC"
    try:
        second = int((fraction or "0").ljust(6, "0")[:6])
        time = datetime(*(int(number or 0) for number in numbers), second)
        if zone in (None, ""):
            return time.astimezone(UTC)
        return time.replace(tzinfo=_zone(zone)).astimezone(UTC)
    except (ValueError, OverflowError, ZoneInfoNotFoundError, OSError):
        return None


def _zone(name: str):
    if name in ("Z", "UTC", "GMT"):
        return UTC
    if name[0] in "+-":
        return datetime.strptime(name, "%z").tzinfo
    return ZoneInfo(name)
