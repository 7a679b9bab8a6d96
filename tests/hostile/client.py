"""autograde's commands with less time for each answer: python -P -m tests.hostile.client WORDS."""

import sys
from unittest import mock

from autograde import cli
from tests.hostile.grading import short_how

if __name__ == "__main__":
    with mock.patch("autograde.grading.program.how_of", short_how):
        sys.exit(cli.main(sys.argv[1:]))
