"""The operator who runs a command."""

import getpass
import os


def operator_name() -> str:
    """Return the name of the account, or its number if it has no name, as in a container that was started with `--user`."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the first of them up to Python 3.12
        return str(os.getuid())
