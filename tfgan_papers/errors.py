"""Errors that a person can mend: `main` prints their message alone."""


class UserError(Exception):
    """Something outside the program is not as it should be; exit code 1."""


class UsageError(UserError):
    """The flags, or a pair of them, make no sense; exit code 2."""


class TrainingFailure(UserError):
    """The training itself went wrong: a result of the run, kept in its failure.json.

    Args:
        reason: what happened, and when.
        remedy: what was done about it, and what can be.
    """

    def __init__(self, reason: str, remedy: str):
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
