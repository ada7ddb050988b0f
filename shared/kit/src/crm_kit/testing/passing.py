"""Time that passes when a test says so, so that nothing has to be waited for and nothing runs out by accident."""

import asyncio


def let_pass(seconds: float) -> None:
    """Move the clock of the running event loop forward: every timeout and timer due by then comes due now.

    A test gives what it lets run out a long limit, waits by a condition until the work stands where it should, and lets the
    limit pass. The clock stays where it is afterwards, as a clock never goes back. ``crm_kit.clock`` is another one.
    """
    loop = asyncio.get_running_loop()
    clock = loop.time
    # An attribute of the instance hides the method.
    vars(loop)["time"] = lambda: clock() + seconds
