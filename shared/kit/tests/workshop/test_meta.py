"""A service's state machines are told as its commands follow them."""

from crm_kit.http.meta import StateMachines
from crm_kit.testing import Client

from .miniature import Tool


async def test_state_machines_are_published_as_data(client: Client) -> None:
    answer = await client.get("/api/v1/meta/state-machines")
    assert answer.status == 200
    machines = {machine.entity: machine for machine in StateMachines.model_validate(answer.json).items}
    tool = machines["tool"]
    assert (tool.initial, tool.states) == (Tool.lifecycle.initial, Tool.lifecycle.states)
    for name, move in tool.moves.items():
        assert move.sources == [state for state in tool.states if name in Tool.lifecycle.actions(state)]
        assert [target.partition("/")[2] for target in move.targets] == Tool.lifecycle.reasons(name)


async def test_state_machines_need_a_caller(client: Client) -> None:
    assert (await client.as_token(None).get("/api/v1/meta/state-machines")).problem == "token-missing"
