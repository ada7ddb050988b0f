"""Which language a request gets."""

import pytest

from crm_language.catalogues import LABELS, MESSAGES, catalogue
from crm_language.languages import LANGUAGES, language_of


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("de-DE, de;q=0.9", "en"),
        ("ja-JP", "ja"),
        ("en;q=0.5, ja;q=0.9", "ja"),
        ("zh", "zh-Hans"),
        ("zh-CN", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-Hant"),
        ("zh-HK", "zh-Hant"),
        ("zh-Hant-CN", "zh-Hant"),
        ("zh-Hans-HK", "zh-Hans"),
        ("fr, *;q=0.1", "en"),
        ("ja;q=0, zh-tw;q=0.001", "zh-Hant"),
        ("ja;q=nonsense", "en"),
        (",;;,=", "en"),
        ("ja" * 10_000, "en"),
    ],
)
def test_the_best_of_ours_is_chosen(accepted: str, expected: str) -> None:
    assert language_of(accepted) == expected


@pytest.mark.parametrize("domain", [LABELS, MESSAGES])
def test_catalogues_have_the_same_ids_in_each_language(domain: str) -> None:
    known = {language: set(catalogue(domain, language)) for language in LANGUAGES}
    if domain == MESSAGES:  # English sentences are their own ids
        del known["en"]
    first, *others = known.values()
    for other in others:
        assert other == first
