"""What the commands share: whatever stops one ends in a single line on stderr."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

from data.errors import DataError


def run(main: Callable[[list[str]], None], help_command: str) -> NoReturn:
    """Parses the flags, calls `main` with the other arguments, and exits.

    Args:
        main: raises `app.UsageError` for wrong usage, ValueError for a wrong value.
        help_command: what to call for help; wrong usage names it, and exits with status 2.
    """

    def refuse(error: Exception) -> NoReturn:
        line = " ".join(str(error).split()).rstrip(".")
        print(f"error: {line}; {help_command} explains.", file=sys.stderr)
        sys.exit(2)

    def parse(argv: Sequence[str]) -> list[str]:
        try:
            return flags.FLAGS(argv)
        except flags.Error as error:
            refuse(error)

    def guarded(argv: list[str]) -> None:
        logging.set_verbosity(logging.WARNING)  # TensorFlow reports every checkpoint it writes
        try:
            main(argv[1:])
        except app.UsageError as error:  # absl's own answer is the help of all flags
            refuse(error)
        except (ValueError, DataError, OSError) as error:
            sys.exit(f"error: {error}")
        except KeyboardInterrupt:
            sys.exit("interrupted; the same command goes on from here")

    app.run(guarded, flags_parser=parse)


def quirks(given: list[str] | None) -> tuple[str, ...] | None:
    """Returns the value of a --quirks flag: None if it was not given, () if it was empty."""
    return None if given is None else tuple(quirk for quirk in given if quirk)


def settings(
    given: Sequence[str], defaults: Mapping[str, Any], flag: str = "settings"
) -> dict[str, Any]:
    """Returns the value of a --settings flag, NAME=VALUE each, as the defaults' types.

    Raises:
        ValueError: no such name, or a value of another type.
    """
    # Here, because TensorFlow comes with it, and most mistakes are found before that is there.
    from tfdsl import checks

    values = {}
    for text in given:
        name, _, value = text.partition("=")
        checks.choice(flag, name, defaults)
        kind = type(defaults[name])
        try:
            values[name] = kind(value)
        except ValueError:
            raise ValueError(
                f"The setting {name} takes {kind.__name__}, such as {name}={defaults[name]}; "
                f"received {value!r}."
            ) from None
    return values


def say(line: str) -> None:
    """Prints progress, to stderr at once."""
    print(line, file=sys.stderr, flush=True)
