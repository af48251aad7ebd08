"""The two kinds of failure that a command reports: the user's and the run's.

Everything else is a defect of the program and keeps its traceback.
"""


class UsageError(ValueError):
    """Bad input: a file, an option, a scenario, a checkpoint. The CLI prints the sentence and exits with 2.

    The message says what is wrong, where, and what to do about it, in one sentence.
    """


class RunFailure(RuntimeError):
    """A run that started and could not be finished. The CLI prints the sentence and exits with 1."""
