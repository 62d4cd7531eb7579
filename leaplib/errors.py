"""The exceptions that the command line turns into one line: input to mend, and a disk that refuses."""


class InputError(ValueError):
    """Bad input: a file, a column, a sample or an option that cannot be used as it is.

    The message is one line that names the culprit and says what to do. The command line prints
    it and exits with code 2; anything else that is raised is a defect of leaplib.
    """


class StorageError(RuntimeError):
    """A file cannot be written: no room, or no right to.

    It stops a run at once, since every further job would meet it too; nothing that was done is lost. The
    command line prints it and exits with code 1.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, else its kind: to be quoted in a message of one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
