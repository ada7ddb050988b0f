"""Sentences with values: names and sentences within them are said in the reader's language, too."""

import pytest

from crm_contracts.sentences import Choice, Listed, entity_word, said, status_word
from crm_language.languages import ENGLISH
from crm_language.messages import detail_of, message_of


@pytest.mark.parametrize(
    ("language", "detail"),
    [
        ("en", "Choose another price list item: this one is inactive."),
        ("ja", "別の価格表の項目を選択してください。選択したものは無効です。"),
    ],
)
def test_a_record_is_called_by_its_label(language: str, detail: str) -> None:
    sentence = said("Choose another {kind}: this one is inactive.", kind=entity_word("price_list_item"))
    assert detail_of("inactive-reference", sentence, language) == detail


def test_a_status_is_called_by_its_label_and_its_technical_name_in_english() -> None:
    sentence = said("The deal is {status}. Reopen it first.", status=status_word("opportunity", "won"))
    assert sentence == "The deal is won. Reopen it first."
    assert "won" not in detail_of("inactive-reference", sentence, "ja")


def test_a_name_without_a_label_stays_as_it_is() -> None:
    sentence = said("The deal is {status}. Reopen it first.", status=status_word("opportunity", "no_such_status"))
    assert "no_such_status" in detail_of("inactive-reference", sentence, "zh-Hans")


def test_sentences_within_a_sentence_are_said_too() -> None:
    sentence = said("{place} {what}.", place=said("Line {line}", line=7), what=said("is not a JSON object"))
    assert detail_of("unreadable-file", sentence, ENGLISH) == "Line 7 is not a JSON object."
    assert detail_of("unreadable-file", sentence, "ja") == "7 行目: JSON オブジェクトではありません。"


def test_lists_are_joined_as_the_language_joins_them() -> None:
    words = Choice(Listed("a", "b"), "c or d")
    sentence = said("Name one of: {allowed}.", allowed=words)
    assert detail_of("validation", sentence, ENGLISH) == "Name one of: a, b or c or d."
    assert (
        message_of("unknown-entity", sentence, "validation", "ja") == "次のいずれかを指定してください: a、b、c or d。"
    )


def test_a_value_with_braces_is_no_template() -> None:
    sentence = said("Name one of: {allowed}.", allowed="{0} {kind}")
    assert detail_of("validation", sentence, "ja") == "次のいずれかを指定してください: {0} {kind}。"
