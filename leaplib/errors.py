"""The one exception for input that its owner can mend."""


class InputError(ValueError):
    """Bad input: a file, a column, a sample or an option that cannot be used as it is.

    The message is one line that names the culprit and says what to do. The command line prints
    it and exits with code 2; anything else that is raised is a defect of leaplib.
    """
