import json

from bench.ceilings.apps import LEAD_COLUMNS
from bench.ceilings.orm import Lead
from bench.ceilings.schemas import LeadCreate, LeadRead
from bench.data import SPAN, lead_body, people, search_starts, search_terms


def test_the_same_seed_gives_the_same_people() -> None:
    assert list(people(50, seed=4)) == list(people(50, seed=4))
    assert list(people(50, seed=4)) != list(people(50, seed=5))


def test_ids_are_unique_version_7_and_rise_with_time() -> None:
    made = list(people(2_000))
    ids = [person.id for person in made]
    assert len(set(ids)) == len(ids)
    assert {id_.version for id_ in ids} == {7}
    assert [id_.int >> 80 for id_ in ids] == sorted(id_.int >> 80 for id_ in ids)
    assert made[-1].created_at - made[0].created_at < SPAN


def test_every_body_is_a_valid_lead_that_the_load_can_number() -> None:
    for person in people(500):
        body = lead_body(person)
        assert "\n" not in body
        lead = LeadCreate.model_validate_json(body.replace("@N@", "123"))
        assert lead.email is not None
        assert lead.email.startswith("lead.123@")
        assert json.loads(lead_body(person, marked=False))["topic"].endswith(str(person.index))


def test_filled_columns_are_those_of_the_table_and_the_table_serves_every_field() -> None:
    assert set(LEAD_COLUMNS) <= set(Lead.__table__.columns.keys())
    assert not [name for name in LeadRead.model_fields if not hasattr(Lead, name)]


def test_short_searches_have_their_length_and_many_scripts() -> None:
    for length in (1, 2, 3, 10):
        starts = search_starts(200, length)
        assert max(map(len, starts)) == length
    assert {"佐", "И", "M"} <= set(search_starts(500, 1))


def test_search_terms_are_long_enough_for_a_trigram() -> None:
    assert all(len(term) >= 3 for term in search_terms(500))
