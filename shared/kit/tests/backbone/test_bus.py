"""Publishing many messages at once: one piece or several, each message with an outcome of its own."""

import pytest

from crm_kit.broker.messages import Outcome, Outgoing, outgoing
from crm_kit.broker.names import EVENTS, replay_of
from crm_kit.broker.publishing import PIECE_BYTES, Publisher

from .test_relay import receive


def message(number: int, size: int, key: str = "crm.mini.thing.created.v1") -> Outgoing:
    body = number.to_bytes(4, "big") * (size // 4)
    return outgoing(body, key, message_id=str(number), headers={"number": number})


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param([0, 4, 400], id="empty and small"),
        pytest.param([1_048_576, 4, PIECE_BYTES, PIECE_BYTES - 4, 4], id="larger than a frame and than a piece"),
        pytest.param([2_000] * 400, id="a full round of the relay"),
    ],
)
async def test_what_is_sent_together_arrives_whole_and_in_order(
    amqp_url: str, publisher: Publisher, sizes: list[int]
) -> None:
    sent = [message(number, size) for number, size in enumerate(sizes)]
    assert await publisher.publish(EVENTS, sent) == [Outcome.CONFIRMED] * len(sent)
    assert [one.body for one in await receive(amqp_url, len(sent))] == [one.body for one in sent]


async def test_only_what_nobody_listens_to_is_returned(publisher: Publisher) -> None:
    sent = [
        message(0, 4, "crm.mini.inbox.crm.mini.thing.x"),
        message(1, 4, "nobody"),
        message(2, 4, "crm.mini.inbox.crm.mini.thing.x"),
    ]
    outcomes = await publisher.publish(replay_of("mini"), sent)
    assert outcomes == [Outcome.CONFIRMED, Outcome.RETURNED, Outcome.CONFIRMED]
    assert await publisher.publish(EVENTS, [message(3, 4)]) == [Outcome.CONFIRMED]


async def test_what_cannot_be_written_costs_the_connection_and_nothing_else(publisher: Publisher) -> None:
    unwritable = outgoing(b"", "crm.mini.thing.created.v1", message_id="0", headers={"what": object()})
    with pytest.raises(TypeError):
        await publisher.publish(EVENTS, [message(1, 4), unwritable])
    assert await publisher.publish(EVENTS, [message(2, 4)]) == [Outcome.CONFIRMED]


async def test_nothing_to_send_asks_nobody() -> None:
    assert await Publisher("amqp://nobody.invalid", name="test").publish(EVENTS, []) == []
