"""Templates of e-mails: their language without a database, and drafts that are made of them over HTTP."""

from typing import Any
from uuid import UUID

import pytest

from crm_activities.email_template.language import Values, rendered, require_template
from crm_contracts.sales.contact import ContactCreated
from crm_kit.access.privileges import Principal
from crm_kit.errors import InvalidValue
from crm_kit.testing import Client, principal

TEMPLATES = "/api/v1/email-templates"
ME = UUID("01900000-0000-7000-8000-0000000000aa")
TO_ADA = {"role": "to", "address": "ada@example.org", "name": "Ada"}
TEMPLATE = {
    "name": "Card is ready",
    "language": "en",
    "subject": "{{ record.name|default('Your card') }}: ready",
    "html": "<p>Dear {{ recipient.name }}{% if record.name is defined %}, for {{ record.name }}{% endif %}</p>",
}
VALUES: Values = {"recipient": {"name": "Ada <b>", "address": None}, "record": {"name": "Müller & Söhne"}}


@pytest.fixture
def caller() -> Principal:
    return principal(id=ME)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Dear {{ recipient.name }}!", "Dear Ada <b>!"),
        ("{{ recipient.address|default('-') }}{{ record.name|upper }}", "-MÜLLER & SÖHNE"),
        ("{% if recipient.address is defined and recipient.address != '' %}a{% elif not false %}b{% endif %}", "b"),
        ("{# a note #}{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("100 % { of } {them}", "100 % { of } {them}"),
    ],
)
def test_a_template_is_filled(source: str, shown: str) -> None:
    require_template(source, "/text")
    assert rendered(source, VALUES, html=False) == shown


def test_values_are_escaped_in_html_and_are_no_templates() -> None:
    values = {"recipient": {"name": "<script>{{ record.id }}</script>"}}
    assert rendered("<p>{{ recipient.name }}</p>", values, html=True) == (
        "<p>&lt;script&gt;{{ record.id }}&lt;/script&gt;</p>"
    )


@pytest.mark.parametrize(
    "source",
    [
        "{{ recipient.name",
        "{% for x in recipient %}{% endfor %}",
        "{% set x = 1 %}",
        "{% include 'x' %}",
        "{% macro m() %}{% endmacro %}",
        "{{ recipient.name * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(10) }}",
        "{{ recipient['name'] }}",
        "{{ recipient.name.upper() }}",
        "{{ [1] }}",
        "{{ recipient.name|center(100000000) }}",
        "{{ recipient.name|default }}",
        "{{ recipient.name|safe }}",
        "{{ recipient.name is divisibleby 2 }}",
        "{{ 1 < 2 }}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "9" * 5000 + " }}",
        "{% if true %}" * 1000 + "{% endif %}" * 1000,
        "{{ 1 }}" * 501,
    ],
)
def test_what_is_not_part_of_the_language_is_refused(source: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_template(source, "/html")
    [error] = refused.value.errors
    assert (error.pointer, error.code) == ("/html", "invalid-template")


@pytest.mark.parametrize("name", ["recipient.phone", "record.__class__", "account.name", "recipient", "self", "x"])
def test_an_unknown_variable_is_refused_when_the_template_is_saved(name: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        require_template(f"{{{{ {name} }}}}", "/subject")
    [error] = refused.value.errors
    assert (error.pointer, error.code) == ("/subject", "unknown-variable")
    assert name in error.message


@pytest.mark.parametrize("source", ["{{ recipient.address }}", "{{ recipient.address|upper }}"])
def test_a_variable_without_a_value_is_told_where_it_would_come_from(source: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        rendered(source, VALUES, html=True)
    [error] = refused.value.errors
    assert (error.pointer, error.code) == ("/parties", "missing-variable")
    assert "recipient.address" in error.message


async def test_a_draft_is_made_of_a_template_and_keeps_its_text(
    client: Client, story: Any, hear: Any, rows: Any
) -> None:
    ada = story(owner=ME)
    await hear(ada.tell(ContactCreated, {"full_name": "A\nBcc: x@y.example", "status": "active"}))
    made = await client.post(TEMPLATES, TEMPLATE)
    assert (made.status, made.etag) == (201, '"1"'), made.body
    path = made.headers["location"]
    use = {"parties": [TO_ADA], "regarding": {"type": "contact", "id": str(ada.id)}}

    shown = await client.post(f"{path}/preview", use)
    assert shown.status == 200, shown.body
    assert shown.json["subject"] == "A Bcc: x@y.example: ready"
    assert (shown.json["html"], shown.json["text"]) == (
        "<p>Dear Ada, for A\nBcc: x@y.example</p>",
        "Dear Ada, for A Bcc: x@y.example",
    )
    assert await rows("select count(*) from email") == [(0,)]

    draft = await client.post(f"{path}/instantiate", use)
    assert draft.status == 201, draft.body
    email = draft.json
    assert (email["subject"], email["status_reason"]) == ("A Bcc: x@y.example: ready", "draft")
    assert email["regarding"]["id"] == str(ada.id)
    assert draft.headers["location"].endswith(f"/emails/{email['id']}")

    changed = await client.patch(path, {"html": None, "text": "Other"})
    assert changed.etag == '"2"'
    assert (await client.get(f"/api/v1/emails/{email['id']}/body")).json["html"] == shown.json["html"]
    assert (await client.delete(path)).status == 204
    assert (await client.get(f"/api/v1/emails/{email['id']}")).status == 200


@pytest.mark.parametrize(
    ("template", "use", "pointer", "code"),
    [
        ({}, {"parties": [{"role": "to", "address": "a@b.example"}]}, "/parties", "missing-variable"),
        ({"regarding_type": "contact"}, {"parties": [TO_ADA]}, "/regarding", "other-entity"),
        ({"subject": "{% if record.id is defined %}x{% endif %}"}, {"parties": [TO_ADA]}, "", "empty-subject"),
    ],
)
async def test_a_mail_that_a_template_cannot_make_is_refused_before_it_is_stored(
    client: Client, rows: Any, template: Any, use: Any, pointer: str, code: str
) -> None:
    path = (await client.post(TEMPLATES, TEMPLATE | template)).headers["location"]
    for way in ("preview", "instantiate"):
        answer = await client.post(f"{path}/{way}", use)
        assert answer.status == 422, answer.body
        [error] = answer.json["errors"]
        assert (error["pointer"], error["code"]) == (pointer, code)
    assert await rows("select count(*) from email") == [(0,)]


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"subject": "{{ oops"}, "/subject", "invalid-template"),
        ({"text": "{{ record.total }}"}, "/text", "unknown-variable"),
        ({"regarding_type": "email_template"}, "/regarding_type", "unknown-kind"),
        ({"language": "not a tag"}, "/language", None),
    ],
)
async def test_a_template_that_breaks_a_rule_is_told_where(
    client: Client, fields: Any, pointer: str, code: str | None
) -> None:
    answer = await client.post(TEMPLATES, TEMPLATE | fields)
    assert answer.status == 422, answer.body
    [error] = answer.json["errors"]
    assert error["pointer"] == pointer
    assert code is None or error["code"] == code
