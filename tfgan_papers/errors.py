"""Errors that a person can mend: `main` prints their message alone."""


class UserError(Exception):
    """Something outside the program is not as it should be; exit code 1."""


class UsageError(UserError):
    """The flags, or a pair of them, make no sense; exit code 2."""


class TrainingFailure(UserError):
    """The training itself went wrong, diverged or collapsed; exit code 1. The run folder
    keeps it in failure.json."""
