"""Who runs a command."""

import getpass
import os


def operator_name() -> str:
    """The name of the account; its number where it has no name, as in a container that was started with `--user`."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the first of them up to Python 3.12
        return str(os.getuid())
