"""Errors that the user can correct. `main` prints only their message."""


class UserError(Exception):
    """An error outside the program, for example a damaged file; exit code 1."""


class UsageError(UserError):
    """An invalid option, or options that do not fit together; exit code 2."""


class TrainingFailure(UserError):
    """A failure of the training itself, a result that is stored in failure.json.

    Args:
        reason: str, what happened at which step.
        remedy: str, what the program did and what the user can do.
    """

    def __init__(self, reason: str, remedy: str):
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
