"""Shares: who gets one, who waits, and that nothing is lost when somebody gives up."""

import asyncio

import pytest

from crm_kit.store.shares import (
    LONGEST_LINE,
    OthersFirst,
    Shares,
    TooManyAtOnce,
)


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def begin(shares: Shares, *holders: str) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(shares.take(holder)) for holder in holders]
    await settled()
    return tasks


def done(tasks: list[asyncio.Task[None]]) -> list[bool]:
    return [task.done() for task in tasks]


async def test_one_holder_never_has_more_than_its_share_and_the_others_do_not_wait() -> None:
    shares = Shares(3)
    mine = await begin(shares, *["me"] * 10)
    assert done(mine).count(True) == 3
    assert done(await begin(shares, "you", "you", "they")) == [True] * 3
    shares.give("me")
    await settled()
    assert done(mine) == [True] * 4 + [False] * 6, "in the order in which they came"
    assert (shares.held("me"), shares.waiting("me")) == (3, 6)
    for task in mine:
        task.cancel()
    await asyncio.gather(*mine, return_exceptions=True)


async def test_when_all_are_taken_holders_take_turns() -> None:
    shares = Shares(2, 2)
    await begin(shares, "me", "me")
    order: list[str] = []

    async def take(holder: str) -> None:
        await shares.take(holder)
        order.append(holder)

    waiting = [asyncio.create_task(take(holder)) for holder in ["me"] * 4 + ["you"] * 2]
    await settled()
    for holder in ("me", "me", "you", "me", "you"):
        shares.give(holder)
        await settled()
    assert order == ["me", "you", "me", "you", "me"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_who_waits_too_long_is_told_to_send_less_and_takes_nothing() -> None:
    shares = Shares(1)
    await shares.take("me")
    with pytest.raises(TooManyAtOnce) as refused:
        await shares.take("me", 0.01)
    assert (refused.value.slug, refused.value.members) == ("too-many-requests", {"retry_after": 1})
    shares.give("me")
    assert (shares.held("me"), shares.waiting("me")) == (0, 0)
    await shares.take("me")


async def test_a_line_has_an_end() -> None:
    shares = Shares(1)
    tasks = await begin(shares, *["me"] * (LONGEST_LINE + 1))
    with pytest.raises(TooManyAtOnce):
        await shares.take("me")
    assert done(await begin(shares, "you")) == [True]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_was_granted_to_somebody_who_just_gave_up_goes_to_the_next() -> None:
    shares = Shares(1)
    await shares.take("me")
    first, second = await begin(shares, "me", "me")
    shares.give("me")
    first.cancel()
    await settled()
    assert (first.cancelled(), second.done()) == (True, True)
    third = (await begin(shares, "me"))[0]
    third.cancel()
    shares.give("me")
    await settled()
    assert (shares.held("me"), shares.waiting("me")) == (0, 0)


async def test_who_waits_for_others_only_is_not_told_that_it_is_their_doing() -> None:
    shares = Shares(1, 2)
    assert shares.take_if_free("me")
    assert shares.take_if_free("you")
    assert not shares.take_if_free("you")
    assert not shares.take_if_free("they")
    with pytest.raises(TooManyAtOnce):
        await shares.take("me", 0.01)
    with pytest.raises(OthersFirst) as told:
        await shares.take("they", 0.01)
    assert (told.value.slug, told.value.members) == ("unavailable", {"retry_after": 1})


async def test_nobody_takes_what_others_stand_in_line_for() -> None:
    shares = Shares(1, 1)
    await shares.take("me")
    (turn,) = await begin(shares, "you")
    shares.give("me")
    await turn
    assert not shares.take_if_free("me")
    assert shares.held("you") == 1
