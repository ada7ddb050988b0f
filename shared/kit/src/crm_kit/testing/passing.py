"""Moves time in tests, so that they do not wait for timeouts, and timeouts do not expire by accident."""

import asyncio


def let_pass(seconds: float) -> None:
    """Move the clock of the running event loop forward by ``seconds``, so that its timeouts and timers expire.

    A test sets a long limit, waits for a condition that shows where the work is, and then lets the limit pass. The clock stays
    ahead afterwards. ``crm_kit.clock`` does not change.
    """
    loop = asyncio.get_running_loop()
    clock = loop.time
    # An attribute of the instance hides the method.
    vars(loop)["time"] = lambda: clock() + seconds
