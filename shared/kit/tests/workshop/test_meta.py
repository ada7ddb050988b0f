"""A service's state machines are told as its commands follow them."""

from crm_kit.http.entities import Entities
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


async def test_entities_are_described_as_they_are_declared(client: Client) -> None:
    answer = await client.get("/api/v1/meta/entities")
    assert answer.headers["content-language"] == "en"
    tool = {one.entity: one for one in Entities.model_validate(answer.json).items}["tool"]
    assert (tool.path, tool.single, tool.owned, tool.creatable, tool.editable, tool.importable) == (
        "/api/v1/tools",
        False,
        True,
        True,
        True,
        False,
    )
    fields = {field.name: field for field in tool.fields}
    assert fields["name"].required
    assert fields["name"].on_update
    assert not fields["id"].on_create
    assert not fields["id"].on_update
    assert fields["box_id"].reference == ["box"]
    assert [option.value for option in fields["status"].options or ()] == Tool.lifecycle.statuses
    assert {"eq", "contains"} <= set(fields["name"].operators)
    assert fields["name"].sortable
    assert tool.states is not None
    assert tool.states.initial == Tool.lifecycle.initial
    commands = {command.name: command for command in tool.commands}
    assert commands["assign"].privilege == "assign"
    assert {"owner_type", "owner_id"} == {field.name for field in commands["assign"].body or ()}
    for name, command in commands.items():
        moves = Tool.lifecycle.describe()["moves"]
        ends = name in moves and not any(Tool.lifecycle.actions(state) for state in moves[name]["to"])
        assert command.destructive == ends, name
