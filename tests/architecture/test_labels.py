"""Every name that `/meta/entities` shows has a label in every language, and every label is shown."""

import pytest

from crm_kit.http.entities import Kind, kinds_of
from crm_kit.http.routers import find_routers
from crm_kit.http.web import PREFIX
from crm_language.labels import Labels
from crm_language.languages import LANGUAGES
from tests.conftest import PACKAGES, service_of


@pytest.fixture(scope="module")
def kinds() -> list[Kind]:
    """The kinds of record of all services."""
    found = []
    for package in PACKAGES:
        found += kinds_of(service_of(package), find_routers(package), PREFIX)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_name_has_a_label_and_every_label_a_use(kinds: list[Kind], language: str) -> None:
    labels = Labels(language)
    for kind in kinds:
        kind.told(labels)
    assert sorted(labels.missing) == [], f"add them to shared/language/src/crm_language/catalogues/{language}/labels.po"
    assert sorted(labels.dead()) == [], f"nothing shows these labels of {language} any more"
