"""Whose programs are more alike than chance explains: a question for the instructor, no verdict.

Most answers are a few lines, and right ones are often the same. So nothing is read out of how alike
two answers look. What counts is how many in this class have the same one: two who share what many
have share nothing; two who share, in one exercise after another, what hardly anybody has, may have
worked together.

For each exercise let q be the share of all pairs of students that agree on an answer which as few
have as this one, or fewer. Were exercises independent, then of all n(n-1)/2 pairs so many would
agree as this pair does, in the exercises in which it does: n(n-1)/2 times the product of their q.
There are 2^k ways to choose the exercises, so that is multiplied by 2^k. A pair is listed where
this stays below LIMIT. Not all pairs are looked at, which would take the square of a class: only
those that agree on two exercises, where at most MOST_TOGETHER have the same two answers.

How like two texts are, as difflib, rapidfuzz or MinHash say it, tells nothing here: of thirty
answers that different people might write to one exercise, dozens of pairs are alike by nine tenths
(tests/first_tries), as most have 15 to 80 words.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

LIMIT = 0.01  # pairs of a class that chance may list in a lesson
MOST_TOGETHER = 40
WORDS, SHAPE = 0, 1  # what `forms` gives of an answer
Forms = Mapping[str, Mapping[str, list[str]]]  # by student and exercise


@dataclass(frozen=True)
class Alike:
    """Students with the same answers. same: the exercises in which they agree to the letter. but
    for names: those in which they agree when names and comments are taken away."""

    students: tuple[str, ...]
    same: tuple[str, ...]
    but_for_names: tuple[str, ...]


def alike(forms: Forms) -> list[Alike]:
    """Those of one lesson that are to be asked about, the largest group first."""
    pairs = set()
    for level in (WORDS, SHAPE):
        answers = {
            one: {name: made[level] for name, made in of.items()} for one, of in forms.items()
        }
        pairs |= set(_unlikely(answers, LIMIT / 2))
    groups = [_told(sorted(group), forms) for group in _joined(pairs)]
    return sorted(groups, key=lambda group: (-len(group.students), group.students))


def same_files(files: Mapping[str, Path]) -> list[tuple[str, ...]]:
    """Students whose files are the same, byte for byte, the largest group first. files: by student;
    only those of one size are read."""
    sizes: dict[int, list[str]] = defaultdict(list)
    for student, path in files.items():
        with suppress(OSError):  # it is no file any more
            sizes[path.stat().st_size].append(student)
    same: dict[bytes, list[str]] = defaultdict(list)
    for student in (one for those in sizes.values() if len(those) > 1 for one in those):
        with suppress(OSError), files[student].open("rb") as file:
            same[hashlib.file_digest(file, "sha256").digest()].append(student)
    groups = (tuple(sorted(those)) for those in same.values() if len(those) > 1)
    return sorted(groups, key=lambda group: (-len(group), group))


def _unlikely(answers: Mapping[str, Mapping[str, str]], limit: float) -> Iterator[tuple[str, str]]:
    """Pairs of students who agree on what few have. answers: by student and exercise."""
    n = len(answers)
    who: dict[tuple[str, str], list[str]] = defaultdict(list)
    for student, of in answers.items():
        for answer in of.items():
            who[answer].append(student)
    chance = _chances({answer: len(those) for answer, those in who.items()}, n)
    exercises = {exercise for exercise, _ in who}
    for one, other in _candidates(answers):
        expected = n * (n - 1) / 2 * 2 ** len(exercises)
        for answer in answers[one].items() & answers[other].items():
            expected *= chance[answer]
        if expected < limit:
            yield one, other


def _chances(counts: Mapping[tuple[str, str], int], n: int) -> dict[tuple[str, str], float]:
    """For each answer, how large a share of all pairs agrees on one that so few have, or fewer."""
    by_exercise: dict[str, list[int]] = defaultdict(list)
    for (exercise, _), count in counts.items():
        by_exercise[exercise].append(count)
    shares: dict[tuple[str, int], float] = {}
    for exercise, sizes in by_exercise.items():
        agree = 0
        for size in sorted(sizes):
            agree += size * (size - 1)
            shares[exercise, size] = agree / max(n * (n - 1), 1)
    return {answer: shares[answer[0], count] for answer, count in counts.items()}


def _candidates(answers: Mapping[str, Mapping[str, str]]) -> set[tuple[str, str]]:
    """Pairs that agree on two exercises; of those who agree on all, each with the first."""
    whole: dict[frozenset, list[str]] = defaultdict(list)
    for student, of in sorted(answers.items()):
        whole[frozenset(of.items())].append(student)
    found = {(those[0], one) for those in whole.values() for one in those[1:]}
    together: dict[tuple, list[str]] = defaultdict(list)
    for of, those in whole.items():
        for two in combinations(sorted(of), 2):
            together[two].append(those[0])
    for those in together.values():
        if len(those) <= MOST_TOGETHER:
            found.update(combinations(sorted(those), 2))
    return found


def _joined(pairs: Iterable[tuple[str, str]]) -> list[set[str]]:
    """The groups that the pairs make."""
    group_of: dict[str, set[str]] = {}
    for one, other in pairs:
        group = group_of.get(one, {one}) | group_of.get(other, {other})
        group_of.update(dict.fromkeys(group, group))
    return [group for one, group in group_of.items() if one == min(group)]


def _told(students: list[str], forms: Forms) -> Alike:
    """In what all of them agree."""
    first, *rest = (forms[one] for one in students)

    def agree(level: int) -> tuple[str, ...]:
        return tuple(
            name for name, made in first.items()
            if all(name in of and of[name][level] == made[level] for of in rest)
        )  # fmt: skip

    same = agree(WORDS)
    return Alike(tuple(students), same, tuple(name for name in agree(SHAPE) if name not in same))
