"""Commands on campaigns: rows and events, in a transaction that is rolled back."""

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from crm_contracts.marketing import CampaignChannel, CampaignType
from crm_contracts.money import Money
from crm_kit.errors import DomainError, IllegalTransition, InvalidValue
from crm_kit.testing import announced, emitted
from crm_kit.work.uow import UnitOfWork
from crm_marketing.campaign import commands
from crm_marketing.campaign.model import Campaign
from crm_marketing.campaign.schemas import CampaignCopy, CampaignCreate, CampaignUpdate

PLAN = CampaignCreate(
    name="Gold card, spring",
    code="GOLD-1",
    type=CampaignType.DIRECT_MARKETING,
    channels=[CampaignChannel.EMAIL, CampaignChannel.VIDEO],
    objective="200 cards",
    offer="First year free",
    proposed_start=date(2026, 12, 1),
    proposed_end=date(2026, 12, 31),
    budget=Money(Decimal(20000), "EUR"),
    other_cost=Money(Decimal(4000), "EUR"),
    expected_response=Decimal("2.5"),
    expected_revenue=Money(Decimal(60000), "EUR"),
    description="Ages 25 to 35",
)


@pytest.fixture
async def campaign(uow: UnitOfWork) -> Campaign:
    made = await commands.create_campaign(uow, PLAN)
    await uow.flush()
    return made


def today(uow: UnitOfWork) -> date:
    return uow.now.astimezone(ZoneInfo(uow.runtime.directory.organization.time_zone)).date()


async def moved(uow: UnitOfWork, campaign: Campaign, *path: str) -> Campaign:
    """Return the campaign after these commands, each in its own unit of work."""
    for command in path:
        campaign = await getattr(commands, f"{command}_campaign")(uow, campaign.id)
        await uow.flush()
    return campaign


async def test_a_new_campaign_is_proposed_and_belongs_to_its_maker(uow: UnitOfWork) -> None:
    made = await commands.create_campaign(uow, PLAN)
    assert (made.state, made.owner_id, made.is_template) == ("proposed/proposed", uow.principal.id, False)
    assert made.number.startswith("CMP-")
    assert emitted(uow) == ["crm.marketing.campaign.created.v1"]


MOVES = [
    (["ready"], "readied", {}),
    (["ready", "launch"], "launched", {"actual_start"}),
    (["ready", "launch", "suspend"], "suspended", {}),
    (["ready", "launch", "suspend", "resume"], "resumed", {}),
    (["ready", "launch", "complete"], "completed", {"actual_end"}),
    (["ready", "launch", "suspend", "complete"], "completed", {"actual_end"}),
    (["cancel"], "canceled", {"actual_end"}),
    (["ready", "launch", "suspend", "cancel"], "canceled", {"actual_end"}),
]


@pytest.mark.parametrize(("path", "fact", "days"), MOVES)
async def test_each_move_tells_the_others(
    uow: UnitOfWork, campaign: Campaign, path: list[str], fact: str, days: set[str]
) -> None:
    after = await moved(uow, campaign, *path)
    assert after.version == len(path) + 1
    event = (await announced(uow))[-1]
    assert event["type"] == f"crm.marketing.campaign.{fact}.v1"
    assert event["data"]["record"]["status"] == after.status
    for day in days:
        assert event["data"][day] == event["data"]["record"][day] == today(uow).isoformat()


async def test_launching_takes_a_campaign_that_is_ready(uow: UnitOfWork, campaign: Campaign) -> None:
    with pytest.raises(IllegalTransition) as refused:
        await commands.launch_campaign(uow, campaign.id)
    assert refused.value.members["allowed"] == ["ready", "cancel"]


@pytest.mark.parametrize("path", [[], ["ready", "launch"], ["ready", "launch", "complete"], ["cancel"]])
async def test_fields_can_be_changed_in_any_status(uow: UnitOfWork, campaign: Campaign, path: list[str]) -> None:
    await moved(uow, campaign, *path)
    changed = await commands.update_campaign(
        uow, campaign.id, CampaignUpdate(other_cost=Money(Decimal(4500), "EUR"), channels=[CampaignChannel.POST])
    )
    assert (changed.other_cost, changed.channels) == (Money(Decimal(4500), "EUR"), ["post"])
    assert emitted(uow) == ["crm.marketing.campaign.updated.v1"]


async def test_a_patch_that_changes_nothing_is_no_change(uow: UnitOfWork, campaign: Campaign) -> None:
    same = await commands.update_campaign(uow, campaign.id, CampaignUpdate(**dict(PLAN)))
    assert (same.version, emitted(uow)) == (1, [])


async def test_the_dates_are_checked_together_with_those_that_stay(uow: UnitOfWork, campaign: Campaign) -> None:
    with pytest.raises(InvalidValue, match="not before proposed_start"):
        await commands.update_campaign(uow, campaign.id, CampaignUpdate(proposed_end=date(2026, 11, 30)))


async def test_a_copy_has_the_plan_and_none_of_the_past(uow: UnitOfWork, campaign: Campaign) -> None:
    await moved(uow, campaign, "ready", "launch", "complete")
    copy = await commands.copy_campaign(uow, campaign.id, CampaignCopy())
    await uow.flush()
    assert copy.name == "Copy of Gold card, spring"
    assert (copy.state, copy.version, copy.actual_start, copy.actual_end) == ("proposed/proposed", 1, None, None)
    assert (copy.code, copy.id == campaign.id, copy.number == campaign.number) == (None, False, False)
    for field in ("type", "channels", "objective", "offer", "proposed_start", "proposed_end", *Campaign.money_fields):
        assert getattr(copy, field) == getattr(PLAN, field), field
    event = (await announced(uow))[-1]
    assert (event["type"], event["subject"]) == ("crm.marketing.campaign.created.v1", str(copy.id))


async def test_templates_are_copied_into_campaigns_and_campaigns_into_templates(
    uow: UnitOfWork, campaign: Campaign
) -> None:
    template = await commands.copy_campaign(uow, campaign.id, CampaignCopy(name="Card pattern", is_template=True))
    await uow.flush()
    assert (template.name, template.is_template) == ("Card pattern", True)
    again = await commands.copy_campaign(uow, template.id, CampaignCopy(name="Gold card, autumn"))
    assert (again.name, again.is_template) == ("Gold card, autumn", False)


async def test_a_template_is_not_launched_until_it_is_one_no_more(uow: UnitOfWork, campaign: Campaign) -> None:
    await commands.update_campaign(uow, campaign.id, CampaignUpdate(is_template=True))
    await uow.flush()
    await moved(uow, campaign, "ready")
    with pytest.raises(DomainError, match="launch the copy"):
        await commands.launch_campaign(uow, campaign.id)
    await commands.update_campaign(uow, campaign.id, CampaignUpdate(is_template=False))
    await uow.flush()
    assert (await commands.launch_campaign(uow, campaign.id)).status == "launched"


async def test_a_launched_campaign_does_not_become_a_template(uow: UnitOfWork, campaign: Campaign) -> None:
    await moved(uow, campaign, "ready", "launch")
    with pytest.raises(InvalidValue) as refused:
        await commands.update_campaign(uow, campaign.id, CampaignUpdate(is_template=True))
    assert (refused.value.slug, refused.value.errors[0].pointer) == ("already-launched", "/is_template")


async def test_a_deleted_campaign_is_announced_at_the_next_version(uow: UnitOfWork, campaign: Campaign) -> None:
    await commands.delete_campaign(uow, campaign.id)
    await uow.flush()
    event = (await announced(uow))[-1]
    assert (event["type"], event["entityversion"]) == ("crm.marketing.campaign.deleted.v1", 2)
    assert event["data"]["changed"] == {}
