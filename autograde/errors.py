"""What goes wrong in a way that a person can mend."""


class UsageError(Exception):
    """One line: the file or the argument, what is wrong with it, and what to do."""
