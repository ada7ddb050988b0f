"""Points at which a test can kill the process, as ``kill -9`` does: ``CRM_FAILPOINT=relay.after_publish`` or ``…:3``."""

import os

_NAME, _, _COUNT = os.environ.get("CRM_FAILPOINT", "").partition(":")
_remaining = int(_COUNT or "1")


def hit(name: str) -> None:
    """End the process without any clean-up if the environment names this point. ``name:N`` means at the N-th hit."""
    global _remaining  # one counter a process is the point
    if name != _NAME:
        return
    _remaining -= 1
    if _remaining <= 0:
        os._exit(137)
