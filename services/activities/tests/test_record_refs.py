"""``RecordRef``: one row per record of any service, whatever the order of events, and which records can be referred to."""

from collections.abc import Callable
from itertools import permutations
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_activities.projections.record_ref import RecordRef, refer_to_any
from crm_contracts.catalogue import all_events
from crm_contracts.sales.account import AccountCreated, AccountDeactivated
from crm_contracts.sales.contact import ContactCreated, ContactMerged, ContactSnapshot
from crm_contracts.sales.lead import LEAD, LeadAssigned, LeadCreated, LeadDeleted, LeadMerged, LeadSnapshot, LeadUpdated
from crm_contracts.sales.opportunity import OpportunityCreated
from crm_contracts.sales.reference import ExchangeRateCreated
from crm_contracts.samples import sample
from crm_contracts.types import RefInput
from crm_kit.access.by_type import ReachByType
from crm_kit.access.privileges import Depth, Principal, UnitTree
from crm_kit.copies.referring import may_read
from crm_kit.errors import InactiveReference, MergedReference, UnknownReference
from crm_kit.events.dispatch import Dispatcher
from crm_kit.events.received import Message
from crm_kit.process.runtime import Runtime
from crm_kit.store.parameters import Parameters
from crm_kit.store.record import new_id
from crm_kit.testing import naively_covers, principal
from crm_kit.work.announcing import Cause
from crm_kit.work.uow import UnitOfWork

Stories = Callable[..., Any]


@pytest.mark.parametrize("event", all_events(), ids=lambda event: event.type)
def test_every_published_record_is_named_by_its_rule(event: Any) -> None:
    if not event.entity.announcement:
        assert event.entity.name_of(sample(event)["data"]["record"])


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ({"first_name": "Ada", "last_name": "Lovelace", "company_name": "Engines", "topic": "Card"}, "Ada Lovelace"),
        ({"first_name": None, "last_name": "Lovelace", "company_name": None, "topic": "Card"}, "Lovelace"),
        ({"first_name": None, "last_name": None, "company_name": "Engines", "topic": "Card"}, "Engines"),
    ],
)
def test_a_lead_is_called_by_its_person_or_company(record: dict[str, Any], name: str) -> None:
    assert LEAD.name_of(record) == name


async def test_records_of_every_service_leave_one_row_each(story: Stories, hear: Any, rows: Any) -> None:
    lead, deal, rate = story(), story(), story()
    await hear(lead.tell(LeadCreated), deal.tell(OpportunityCreated), rate.tell(ExchangeRateCreated))
    found = await rows("select type, id, version, owner_id, status is null from record_ref order by type")
    assert found == [
        ("exchange_rate", rate.id, 1, None, True),
        ("lead", lead.id, 1, lead.owner, False),
        ("opportunity", deal.id, 1, deal.owner, False),
    ]


async def test_the_last_version_counts_in_any_order_of_arrival(story: Stories, hear: Any, rows: Any) -> None:
    for order in permutations(range(3)):
        lead, owner = story(), new_id()
        events = [lead.tell(LeadCreated, {"last_name": "One"}), lead.tell(LeadUpdated, {"last_name": "Two"})]
        lead.owner = owner
        events.append(lead.tell(LeadAssigned))
        for position in order:
            await hear(events[position])
        found = await rows("select version, owner_id, name from record_ref where id = $1", lead.id)
        assert found == [(3, owner, f"{lead.record.get('first_name', 'First name')} Two")]


async def test_an_event_that_comes_three_times_counts_once(story: Stories, hear: Any, rows: Any) -> None:
    lead = story()
    created, updated = lead.tell(LeadCreated), lead.tell(LeadUpdated)
    await hear(created, updated, created)
    await hear(updated)
    await hear(created)
    assert await rows("select version from record_ref") == [(2,)]
    assert await rows("select count(*) from timeline_event") == [(2,)]


async def test_a_deleted_record_leaves_a_tombstone_that_nothing_revives(story: Stories, hear: Any, rows: Any) -> None:
    lead = story()
    created, updated, deleted = lead.tell(LeadCreated), lead.tell(LeadUpdated), lead.tell(LeadDeleted)
    await hear(deleted)
    await hear(created, updated)
    assert await rows("select version, deleted from record_ref") == [(3, True)]


async def test_a_merged_record_names_its_survivor(story: Stories, hear: Any, rows: Any) -> None:
    lead, survivor = story(), story()
    await hear(lead.tell(LeadCreated), survivor.tell(LeadCreated), lead.tell(LeadMerged, survivor_id=survivor.id))
    assert await rows("select merged_into from record_ref where id = $1", lead.id) == [(survivor.id,)]


async def test_a_snapshot_of_a_merged_record_tells_what_the_merge_told(story: Stories, hear: Any, rows: Any) -> None:
    heard, snapped, survivor = story(), story(), story()
    await hear(heard.tell(ContactCreated), heard.tell(ContactMerged, survivor_id=survivor.id))
    snapped.version = 1
    await hear(snapped.tell(ContactSnapshot, survivor_id=survivor.id))
    assert await rows("select version, merged_into from record_ref") == [(2, survivor.id)] * 2
    links = await rows("select source_id, target_id from timeline_link")
    assert sorted(links) == sorted([(survivor.id, heard.id), (survivor.id, snapped.id)])


async def test_a_snapshot_brings_records_and_links_but_no_story(story: Stories, hear: Any, rows: Any) -> None:
    lead, account = story(), story()
    lead.version = 6
    await hear(lead.tell(LeadSnapshot, {"account_id": str(account.id), "contact_id": None, "opportunity_id": None}))
    assert await rows("select id, version from record_ref") == [(lead.id, 7)]
    assert await rows("select source_id, target_id from timeline_link") == [(lead.id, account.id)]
    assert await rows("select count(*) from timeline_event") == [(0,)]


def asking(runtime: Runtime, caller: Principal) -> UnitOfWork:
    return UnitOfWork(runtime, caller, Cause(correlation_id="a test"))


async def refer(runtime: Runtime, caller: Principal, kind: str, record_id: UUID) -> RecordRef:
    uow = asking(runtime, caller)
    try:
        return await refer_to_any(uow, RefInput(type=kind, id=record_id), "/regarding")
    finally:
        await uow.close()


async def test_anything_known_and_readable_can_be_referred_to(runtime: Runtime, story: Stories, hear: Any) -> None:
    contact = story()
    await hear(contact.tell(ContactCreated, {"full_name": "Ada Lovelace", "status": "active"}))
    mine = principal(Depth.USER, id=contact.owner)
    assert (await refer(runtime, mine, "contact", contact.id)).name == "Ada Lovelace"


@pytest.mark.parametrize("case", ["unknown", "stub", "wrong type", "deleted", "not mine", "no privilege"])
async def test_what_cannot_be_referred_to_is_unknown(runtime: Runtime, story: Stories, hear: Any, case: str) -> None:
    lead, kind, caller = story(), "lead", principal()
    if case == "stub":
        async with runtime.db.begin() as conn:
            stub = "insert into record_ref (id, version, deleted, type) values ($1, 0, false, 'lead')"
            await conn.exec_driver_sql(stub, (lead.id,))
    elif case != "unknown":
        await hear(lead.tell(LeadCreated))
    if case == "wrong type":
        kind = "contact"
    elif case == "deleted":
        await hear(lead.tell(LeadDeleted))
    elif case == "not mine":
        caller = principal(Depth.USER)
    elif case == "no privilege":
        caller = principal(lead=Depth.NONE)
    with pytest.raises(UnknownReference) as refused:
        await refer(runtime, caller, kind, lead.id)
    assert refused.value.errors[0].pointer == "/regarding"


async def test_a_merged_record_takes_no_new_reference_and_its_survivor_is_named_to_who_may_read_it(
    runtime: Runtime, story: Stories, hear: Any
) -> None:
    lead, survivor = story(), story()
    await hear(lead.tell(LeadCreated), lead.tell(LeadMerged, survivor_id=survivor.id))
    with pytest.raises(MergedReference) as refused:
        await refer(runtime, principal(), "lead", lead.id)
    assert (refused.value.errors[0].pointer, refused.value.members) == ("/regarding", {})
    await hear(survivor.tell(LeadCreated))
    with pytest.raises(MergedReference) as refused:
        await refer(runtime, principal(), "lead", lead.id)
    assert refused.value.members["survivor"]["id"] == survivor.id
    with pytest.raises(MergedReference) as refused:
        await refer(runtime, principal(Depth.USER, id=lead.owner), "lead", lead.id)
    assert refused.value.members == {}


async def test_an_inactive_record_takes_no_new_reference(runtime: Runtime, story: Stories, hear: Any) -> None:
    account = story()
    created, off = account.tell(AccountCreated), account.tell(AccountDeactivated, {"status": "inactive"})
    await hear(created, off)
    with pytest.raises(InactiveReference):
        await refer(runtime, principal(), "account", account.id)


UNITS = [UUID(int=n) for n in range(1, 5)]
TREE = {UNITS[0]: None, UNITS[1]: UNITS[0], UNITS[2]: UNITS[1], UNITS[3]: UNITS[0]}
PEOPLE = [UUID(int=n) for n in range(101, 105)]
TYPES = ["lead", "contact", "exchange_rate", "case"]
ref = st.tuples(
    st.sampled_from(TYPES), st.sampled_from([*PEOPLE, None]), st.sampled_from(UNITS), st.booleans(), st.uuids(version=4)
)


@given(
    refs=st.lists(ref, min_size=1, max_size=12, unique_by=lambda one: one[4]),
    depths=st.dictionaries(st.sampled_from(TYPES), st.sampled_from(["0", "1", "2", "3", "4"])),
    unit=st.sampled_from(UNITS),
    teams=st.lists(st.sampled_from(PEOPLE[1:]), max_size=2, unique=True),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_sql_and_python_agree_on_who_reads_what(
    runtime: Runtime, refs: list[Any], depths: dict[str, str], unit: UUID, teams: list[UUID]
) -> None:
    privileges = {kind: f"0{depth}000" for kind, depth in depths.items()}
    caller = principal(id=PEOPLE[0], unit=unit, teams=tuple(teams), privileges=privileges)
    tree = UnitTree(TREE)
    runtime.directory.tree = tree
    copies = [
        RecordRef(id=id_, version=1, type=kind, owner_id=owner, business_unit_id=unit if owner else None, deleted=gone)
        for kind, owner, unit, gone, id_ in refs
    ]
    expected = {
        one.id
        for one in copies
        if depths.get(one.type) == "4"
        or (not one.deleted and naively_covers(caller, one.type, one.owner_id, one.business_unit_id, TREE))
    }
    uow = asking(runtime, caller)
    assert {one.id for one in copies if may_read(uow, one)} == expected
    parameters = Parameters()
    values = ", ".join(
        f"({parameters.add(c.id, 'uuid')}, {parameters.add(c.type, 'text')}, {parameters.add(c.owner_id, 'uuid')},"
        f" {parameters.add(c.business_unit_id, 'uuid')}, {parameters.add(c.deleted, 'boolean')})"
        for c in copies
    )
    reach = ReachByType(caller, tree, parameters)
    condition = f"{reach.everything('r')} or not r.deleted and {reach.some('r')}"
    sql = f"select id from (values {values}) r (id, type, owner_id, business_unit_id, deleted) where {condition}"  # noqa: S608  # only placeholders
    async with runtime.db.autocommit() as conn:
        found = await conn.exec_driver_sql(sql, tuple(parameters.values))
        assert {row[0] for row in found} == expected
    await uow.close()


@pytest.mark.parametrize("record", [None, "text", {}, {"id": "another", "version": 1}])
async def test_an_event_without_its_record_is_parked_and_others_go_on(
    runtime: Runtime, dispatcher: Dispatcher, story: Stories, rows: Any, record: Any
) -> None:
    lead, poison = story(), story()
    document = orjson.loads(poison.tell(LeadCreated).body)
    document["data"]["record"] = record
    await dispatcher.settle([Message.read(orjson.dumps(document)), lead.tell(LeadCreated)])
    assert await rows("select id from record_ref") == [(lead.id,)]
    parked = await rows("select consumer from inbox where state = 'parked' order by 1")
    assert [row[0] for row in parked] == ["activities.refs", "activities.timeline"]
