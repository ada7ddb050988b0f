"""The people of the demo, with English, Japanese, simplified and traditional Chinese names, different in every run."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from random import Random


@dataclass(frozen=True)
class Names:
    """The names of one language, in their usual spelling and in the spelling for e-mail addresses."""

    language: str
    families: tuple[tuple[str, str], ...]
    given: tuple[tuple[str, str], ...]
    companies: tuple[str, ...]
    phone: str
    digits: int


ENGLISH = Names(
    "English",
    (("Lovelace", "lovelace"), ("Clarke", "clarke"), ("Okafor", "okafor"), ("Whitfield", "whitfield")),
    (("Ada", "ada"), ("Emma", "emma"), ("Daniel", "daniel"), ("Grace", "grace")),
    ("Analytical Engines Ltd", "Harbour & Sons", "Northern Light Bakery"),
    "+447400",
    6,
)
JAPANESE = Names(
    "Japanese",
    (("佐藤", "sato"), ("田中", "tanaka"), ("鈴木", "suzuki"), ("渡辺", "watanabe")),
    (("花子", "hanako"), ("美咲", "misaki"), ("健太", "kenta"), ("翔", "sho")),
    ("大和商事株式会社", "さくら工房", "北斗電機株式会社"),
    "+8190",
    8,
)
SIMPLIFIED = Names(
    "simplified Chinese",
    (("王", "wang"), ("李", "li"), ("张", "zhang"), ("刘", "liu")),
    (("小明", "xiaoming"), ("丽华", "lihua"), ("国强", "guoqiang"), ("静怡", "jingyi")),
    ("东方贸易有限公司", "长江软件有限公司", "华丰食品有限公司"),
    "+86138",
    8,
)
TRADITIONAL = Names(
    "traditional Chinese",
    (("陳", "chen"), ("林", "lin"), ("黃", "huang"), ("張", "chang")),
    (("淑芬", "shufen"), ("俊傑", "chunchieh"), ("雅婷", "yating"), ("志豪", "chihhao")),
    ("台灣精密股份有限公司", "龍門茶行", "遠東設計有限公司"),
    "+88691",
    7,
)
LANGUAGES = (ENGLISH, JAPANESE, SIMPLIFIED, TRADITIONAL)


@dataclass(frozen=True)
class Prospect:
    """A person who responds to the campaign."""

    first_name: str
    last_name: str
    company: str
    email: str
    phone: str
    amount: int
    """The yearly value of the card plan in whole units of the base currency."""

    @property
    def name(self) -> str:
        """The first name and the last name."""
        return f"{self.first_name} {self.last_name}"


def prospects(count: int, run: str, chance: Random) -> list[Prospect]:
    """Return distinct people of all four languages in turn, with e-mail addresses that no earlier run used.

    At most 64.
    """
    by_language = [_people(names, run, chance) for names in LANGUAGES]
    return [next(by_language[number % len(LANGUAGES)]) for number in range(count)]


def _people(names: Names, run: str, chance: Random) -> Iterator[Prospect]:
    pairs = list(product(names.families, names.given))
    chance.shuffle(pairs)
    for (family, family_letters), (given, given_letters) in pairs:
        yield Prospect(
            first_name=given,
            last_name=family,
            company=chance.choice(names.companies),
            email=f"{given_letters}.{family_letters}.{run}@example.com",
            phone=names.phone + "".join(chance.choices("0123456789", k=names.digits)),
            amount=chance.randrange(8, 60) * 50,
        )


def as_file(people: list[Prospect]) -> bytes:
    """Return the people as a CSV file in UTF-8, with the headings of a call centre."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["Given name", "Family name", "Firm", "Mail", "Telephone", "Worth a year"])
    writer.writerows([p.first_name, p.last_name, p.company, p.email, p.phone, p.amount] for p in people)
    return text.getvalue().encode()
