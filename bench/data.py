"""Generated people in many scripts, and tables filled with them by COPY. The same seed gives the same rows."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import asyncpg

NAMES = (
    ("DE", "+4930", "Berlin", "Anna Lukas Greta Jürgen Sören Käthe", "Schmidt Müller Weiß Krüger Böhm Vogel"),
    ("FR", "+331", "Paris", "Élodie Hélène François Zoé Benoît Margaux", "Lefèvre Dubois Gauthier Béranger Moreau"),
    ("ES", "+3491", "Madrid", "Lucía Íñigo Begoña Andrés Nuria Joaquín", "García Muñoz Peña Ibáñez Ordóñez"),
    ("PL", "+4822", "Warszawa", "Łukasz Małgorzata Zofia Paweł Agnieszka", "Wiśniewski Dąbrowska Wójcik Kowalczyk"),
    ("TR", "+90212", "İstanbul", "Ayşe Çağlar Gökhan Işıl Ömer Şule", "Yıldız Öztürk Çelik Şahin Aydın"),
    ("VN", "+8424", "Hà Nội", "Hương Dũng Phượng Thảo Khánh", "Nguyễn Trần Phạm Đặng Hoàng"),
    ("RU", "+7495", "Москва", "Анна Дмитрий Ольга Сергей Фёдор", "Иванова Смирнов Кузнецова Соловьёв"),
    ("UA", "+38044", "Київ", "Олена Тарас Ївга Богдан Соломія", "Шевченко Коваленко Бондаренко"),
    ("GR", "+3021", "Αθήνα", "Ελένη Γιώργος Αικατερίνη Νίκος", "Παπαδόπουλος Οικονόμου Αντωνίου"),
    ("GE", "+99532", "თბილისი", "ნინო გიორგი თამარ ლევან", "ბერიძე კაპანაძე გელაშვილი"),
    ("AM", "+37410", "Երևան", "Անի Արամ Լուսինե Տիգրան", "Հակոբյան Սարգսյան Պետրոսյան"),
    ("IL", "+9723", "תל אביב", "נועה דוד יעל אברהם", "כהן לוי מזרחי פרידמן"),
    ("EG", "+202", "القاهرة", "فاطمة محمد ليلى يوسف", "الحسيني عبدالله المصري"),
    ("IN", "+9111", "दिल्ली", "प्रिया अर्जुन लक्ष्मी विक्रम", "शर्मा गुप्ता अग्रवाल"),
    ("TH", "+662", "กรุงเทพ", "สมชาย มาลี นภา วิชัย", "ศรีสุวรรณ ทองดี บุญมี"),
    ("CN", "+8610", "北京", "伟 秀英 芳 建国 小明", "王 李 张 欧阳 司马"),
    ("JP", "+813", "東京", "花子 太郎 さくら 健一", "佐藤 鈴木 高橋 長谷川"),
    ("KR", "+822", "서울", "지우 민준 서연 현우", "김 이 박 남궁"),
    ("US", "+1212", "New York", "Emily O'Neil Jamal María-José Ashley", "Johnson O'Brien Washington Smith-Jones"),
    ("NG", "+2341", "Lagos", "Chiamaka Oluwaseun Ngozi Emeka", "Okonkwo Adébáyò Ọlátúnjí"),
)
COMPANY_HEADS = """
    Nord Alpen Sol Vega Kaskade Atlas Meridian Lumen Orbis Quercus Helios Baltic Terra Cobalt Zephyr Falcon
    Амур Север Ήλιος شمس 東方 大和 한빛 सूर्य
""".split()  # noqa: SIM905 - two dozen quoted words in several directions cannot be read
COMPANY_TRADES = ("Logistik", "Textil", "Software", "Foods", "Energy", "Pharma", "Maschinenbau", "Consulting", "Medien")
COMPANY_FORMS = ("GmbH", "S.A.", "Ltd", "AB", "ООО", "株式会社", "有限公司", "Inc.")
TITLES = ("Einkaufsleiterin", "CFO", "Head of Operations", "Directeur technique", "Инженер", "マネージャー", "Owner")
WANTS = (
    "Card plan",
    "Renewal",
    "New site",
    "Pilot",
    "Rollout",
    "Migration",
    "Anfrage",
    "Запрос",
    "見積もり",
    "Demande",
)
INDUSTRIES = ("banking", "retail", "manufacturing", "logistics", "health", "energy")
SOURCES = ("advertisement", "employee_referral", "partner", "campaign", "sales_drive", "web", "word_of_mouth", "other")
RATINGS = ("hot", "warm", "cold")
NEEDS = ("must_have", "should_have", "good_to_have", "none")
CHANNELS = ("any", "email", "phone", "mobile", "post", "chat")
GENDERS = ("female", "male", "other", "unknown")
DESCRIPTION = (
    "Met at the spring fair; wants a quote for the whole group before the budget round, prefers to be called in the "
    "morning, and has two competing offers on the table."
)
EPOCH = datetime(2023, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=1_000)


@dataclass(slots=True)
class Person:
    """A person. `index` counts from 0; `created_at` increases with it."""

    index: int
    id: UUID
    created_at: datetime
    topic: str
    first_name: str
    last_name: str
    company: str
    job_title: str
    gender: str
    birth_date: date
    email: str
    phone: str
    mobile_phone: str
    street: str
    city: str
    postal_code: str
    country: str
    website: str
    industry: str
    source: str
    rating: str
    need: str
    channel: str
    budget: Decimal
    value: Decimal
    close_date: date
    opted_out: bool


Columns = Mapping[str, Callable[[Person], Any]]


def time_ordered_id(at: datetime, random: Random) -> UUID:
    """Return a UUIDv7 for a given instant (RFC 9562 §5.7)."""
    milliseconds = int(at.timestamp() * 1000)
    return UUID(int=milliseconds << 80 | 7 << 76 | random.getrandbits(12) << 64 | 2 << 62 | random.getrandbits(62))


def people(count: int, seed: int = 1) -> Iterator[Person]:
    """Generate `count` different people, spread evenly over about three years."""
    random = Random(seed)
    choice, step = random.choice, SPAN / max(count, 1)
    origins = [(country, code, city, first.split(), last.split()) for country, code, city, first, last in NAMES]
    companies = [
        f"{head} {trade} {form}" for head in COMPANY_HEADS for trade in COMPANY_TRADES for form in COMPANY_FORMS
    ]
    amounts = [Decimal(n * 50).quantize(Decimal("0.01")) for n in range(1, 2_000)]
    days = [date(1950, 1, 1) + timedelta(days=n) for n in range(0, 20_000, 7)]
    closes = [date(2027, 1, 1) + timedelta(days=n) for n in range(365)]
    for index in range(count):
        country, code, city, first_names, last_names = choice(origins)
        at = EPOCH + step * index
        digits = f"{index % 10_000_000:07d}"
        yield Person(
            index=index,
            id=time_ordered_id(at, random),
            created_at=at,
            topic=f"{choice(WANTS)} {index}",
            first_name=choice(first_names),
            last_name=choice(last_names),
            company=choice(companies),
            job_title=choice(TITLES),
            gender=choice(GENDERS),
            birth_date=choice(days),
            email=f"person.{index}@{country.lower()}.example",
            phone=code + digits,
            mobile_phone=f"+4917{digits}",
            street=f"{index % 300 + 1}, Long Road",
            city=city,
            postal_code=f"{index % 90_000 + 10_000}",
            country=country,
            website=f"https://www.{country.lower()}-{index % 5_000}.example",
            industry=choice(INDUSTRIES),
            source=choice(SOURCES),
            rating=choice(RATINGS),
            need=choice(NEEDS),
            channel=choice(CHANNELS),
            budget=choice(amounts),
            value=choice(amounts),
            close_date=choice(closes),
            opted_out=index % 11 == 0,
        )


async def fill(connection: asyncpg.Connection, table: str, columns: Columns, count: int, seed: int = 1) -> None:
    """COPY `count` people into `table` with one function of a person per column, then ANALYZE it.

    For several tables, call it once for each with the same seed, which generates the same people.
    """
    makers = tuple(columns.values())
    await connection.copy_records_to_table(
        table,
        columns=tuple(columns),
        records=(tuple(make(person) for make in makers) for person in people(count, seed)),
    )
    await connection.execute(f"analyze {table}")


def lead_body(person: Person, *, marked: bool = True) -> str:
    """Return the JSON of `POST /leads` with all fields except the campaign.

    `marked` leaves `@N@` for the number of the load.
    """
    mark = "@N@" if marked else str(person.index)
    return json.dumps(
        {
            "topic": f"{person.topic} {mark}",
            "first_name": person.first_name,
            "last_name": person.last_name,
            "company_name": person.company,
            "job_title": person.job_title,
            "gender": person.gender,
            "birth_date": person.birth_date.isoformat(),
            "email": f"lead.{mark}@{person.country.lower()}.example",
            "phone": person.phone,
            "mobile_phone": person.mobile_phone,
            "address": {
                "line1": person.street,
                "city": person.city,
                "postal_code": person.postal_code,
                "country": person.country,
            },
            "website": person.website,
            "industry": person.industry,
            "source": person.source,
            "rating": person.rating,
            "budget": {"amount": str(person.budget), "currency": "EUR"},
            "estimated_value": {"amount": str(person.value), "currency": "EUR"},
            "estimated_close_date": person.close_date.isoformat(),
            "need": person.need,
            "preferred_channel": person.channel,
            "do_not_email": person.opted_out,
            "do_not_phone": False,
            "do_not_post": False,
            "description": DESCRIPTION,
        },
        ensure_ascii=False,
    )


def search_terms(count: int, seed: int = 2) -> list[str]:
    """Return search terms: last names and the first two words of companies, at least three letters, from every script."""
    random = Random(seed)
    names = [name for *_, last in NAMES for name in last.split() if len(name) >= 3]
    companies = [f"{head} {trade}" for head in COMPANY_HEADS for trade in COMPANY_TRADES]
    return [random.choice(names if n % 2 else companies) for n in range(count)]


def search_starts(count: int, length: int, seed: int = 3) -> list[str]:
    """Return the first characters of last names and companies, from every script."""
    random = Random(seed)
    names = [name for *_, last in NAMES for name in last.split()]
    companies = [f"{head} {trade}" for head in COMPANY_HEADS for trade in COMPANY_TRADES]
    starts = sorted({text[:length].strip() for text in (*names, *companies) if len(text) >= length})
    return [random.choice(starts) for _ in range(count)]
