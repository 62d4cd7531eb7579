"""The exceptions that the command line turns into one line: input to mend, and a disk that refuses."""

import lzma
import struct
import zipfile
import zlib

LONGEST = 2000  # characters of a message
# What a parser stumbles over in a file that is cut, altered or something else.
DAMAGE = (EOFError, OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, ValueError, LookupError,
          TypeError, AttributeError, ArithmeticError, AssertionError, SyntaxError, RuntimeError,
          MemoryError)  # fmt: skip


class InputError(ValueError):
    """Bad input: a file, a column, a sample or an option that cannot be used as it is.

    The message is one line that names the culprit and says what to do. The command line prints
    it and exits with code 2; anything else that is raised is a defect of leaplib.

    Parameters
    ----------
    message : str
        What it quotes may hold line breaks, escape sequences or megabytes: blanks stand for what cannot be printed,
        and of an overlong message the middle is left out, since the remedy is at its end.
    """

    def __init__(self, message: str):
        line = message if message.isprintable() else "".join(c if c.isprintable() else " " for c in message)
        half = LONGEST // 2 - 3
        super().__init__(line if len(line) <= LONGEST else f"{line[:half]} ... {line[-half:]}")


class StorageError(RuntimeError):
    """A file cannot be written: no room, or no right to.

    It stops a run at once, since every further job would meet it too; nothing that was done is lost. The
    command line prints it and exits with code 1.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, else its kind: to be quoted in a message of one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
