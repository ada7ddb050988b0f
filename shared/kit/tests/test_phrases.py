"""What a caller is told of a rule says what to send, in our words and not in a library's."""

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, ValidationError

from crm_contracts.types import FORMS, EntityName, Phone, ShortText
from crm_kit.http.phrases import of_form, of_rule


class Order(BaseModel):
    name: ShortText = "x"
    code: str = Field("ab", min_length=2, max_length=3)
    phone: Phone = "+491701234567"
    kind: EntityName = "thing"
    lines: list[int] = Field([1], min_length=1, max_length=2)
    count: Annotated[int, Field(ge=0, le=9)] = 1
    share: float = Field(0.5, gt=0, lt=1)
    size: Literal["s", "m"] = "s"
    due: date = date(2026, 5, 4)
    at: datetime = datetime(2026, 5, 4, tzinfo=UTC)
    key: UUID = UUID(int=0)
    is_gift: bool = False
    other: str = Field("A1", pattern="^[A-Z][0-9]$")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ({"name": " "}, "Send at least 1 character."),
        ({"name": "\0"}, "Send text with at least one visible character and without U+0000."),
        ({"code": "a"}, "Send at least 2 characters."),
        ({"code": "abcd"}, "Send at most 3 characters."),
        ({"phone": "0170"}, "Write the number with + and its country code, then digits alone: +491701234567."),
        ({"lines": []}, "Send at least 1 item."),
        ({"lines": [1, 2, 3]}, "Send at most 2 items."),
        ({"lines": 7}, "Send a list."),
        ({"count": -1}, "Send 0 or more."),
        ({"count": 10}, "Send 9 or less."),
        ({"count": "many"}, "Send a whole number."),
        ({"count": 1.5}, "Send a whole number."),
        ({"share": 0}, "Send more than 0.0."),
        ({"share": 1}, "Send less than 1.0."),
        ({"size": "l"}, "Send 's' or 'm'."),
        ({"due": "tomorrow"}, "Send a date such as 2026-05-04."),
        ({"at": "noon"}, "Send a time with its zone, such as 2026-05-04T09:30:00Z."),
        ({"key": "7"}, "Send an id, which is a UUID."),
        ({"is_gift": "perhaps"}, "Send true or false."),
        ({"other": "a1"}, "Send text that matches ^[A-Z][0-9]$."),
        ({"code": 7}, "Send text."),
    ],
)
def test_a_rule_says_what_to_send(sent: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(sent)
    assert [of_rule(dict(found)) for found in caught.value.errors()] == [said]


def test_a_pattern_of_ours_has_a_sentence_of_its_own() -> None:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate({"kind": "Things"})
    assert of_rule(dict(caught.value.errors()[0])) in FORMS.values()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Part exceeded maximum size of 1024KB.", "Send at most 1024 KiB in each field of the form."),
        ("Too many files. Maximum number of files is 1000.", "Send at most 1000 files in the form."),
        ("Missing boundary in multipart.", "The Content-Type has no boundary. Let your HTTP library write it."),
        ("something else of a library's", "The request cannot be read. Send it as RFC 9110 defines it."),
    ],
)
def test_what_a_library_says_of_a_form_is_told_in_our_words(said: str, told: str) -> None:
    assert of_form(said) == told
