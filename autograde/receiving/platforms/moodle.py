"""Moodle: FULL NAME_NUMBER_assignsubmission_PLUGIN_, a folder or the beginning of a file's name.

Read in moodle, mod/assign/locallib.php and classes/downloader.php: each _ of the name is a space.
Before version 3.1 and in groups, GROUP- stands in front of the name. NUMBER is the participant's in
this assignment alone. Marked blindly, everybody is called Participant, in the site's language. A
team's submission has the team's name and number. The plugin `onlinetext` is what was typed in. The
zip is streamed: its times are the download's.
"""

import re

from . import Batch, Claim

MARK = re.compile(r"(?P<name>[^_]+)_(?P<number>\d+)_assignsubmission_(?P<plugin>[a-z]+)(_|$)")
# A word in front of a hyphen that is a group and no part of a double name.
GROUP = re.compile(
    r"(?i)\b(group|gruppe|groupe|grupo|gruppo|team|section|sektion|lab|class|klasse|tutorial|"
    r"tutorium|seminar|cohort|kurs|course|übung|grp|mon|tue|wed|thu|fri|\w+day)\b|\d|\b[A-Z]$"
)


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost part that has its mark."""
    for at, part in enumerate(parts):
        if found := MARK.match(part):
            text = found["plugin"] == "onlinetext"
            return [
                Claim("Moodle", at, found["name"], number=found["number"], lasting=False,
                      group=without_group(found["name"]), text=text)
            ]  # fmt: skip
    return []


def without_group(name: str) -> tuple[str, str]:
    """What may be a group and what may then be the name, at the first hyphen that allows it."""
    for found in re.finditer("-", name):
        group, rest = name[: found.start()], name[found.end() :]
        if GROUP.search(group) and not GROUP.match(rest.partition("-")[0]):
            return group, rest
    return "", ""
