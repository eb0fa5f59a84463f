"""The one error of everything that reads data from disk or network."""


class DataError(RuntimeError):
    """Data that is missing, cut short, corrupt or not what its catalogue entry says.

    The message is one line: what was looked for or found, where, and the remedy.
    """


class MissingDataError(DataError):
    """Data that is not on this machine and cannot be fetched."""
