"""The document of the whole API: small, with unique names, and with everything that a client is made from."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from crm_contracts.problems import PROBLEMS
from crm_gateway.documents.areas import OTHERS
from crm_gateway.documents.compacting import operations
from crm_gateway.documents.examples import UNTOLD

Document = dict[str, Any]

MOST_BYTES = 600_000
"""The budget that issue 10 gave the document. What grows with each entity and operation is made small, not this raised."""


def everything(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from everything(value)


def resolved(document: Document, node: Any) -> Any:
    """The part of the document that a reference names."""
    while "$ref" in node:
        found: Any = document
        for key in node["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        node = found
    return node


def parameters(document: Document, path: str, method: str = "get") -> dict[str, Any]:
    item = document["paths"][path]
    listed = [*item.get("parameters", []), *item[method].get("parameters", [])]
    return {one["name"]: one for one in (resolved(document, one) for one in listed)}


def fields(document: Document, schema: Any) -> dict[str, Any]:
    schema = resolved(document, schema)
    found: dict[str, Any] = {}
    for part in schema.get("allOf", ()):
        found = found | fields(document, part)
    return {**found, **schema.get("properties", {})}


def required(document: Document, schema: Any) -> set[str]:
    schema = resolved(document, schema)
    return {*schema.get("required", ()), *(name for one in schema.get("allOf", ()) for name in required(document, one))}


def test_it_is_small(document_file: Path) -> None:
    assert document_file.stat().st_size <= MOST_BYTES


def test_titles_of_schemas_are_unique(document: Document) -> None:
    titles = Counter(one["title"] for one in document["components"]["schemas"].values() if "title" in one)
    assert [title for title, times in titles.items() if times > 1] == []


def test_there_is_one_money_and_one_address_and_no_schema_for_a_side(document: Document) -> None:
    names = document["components"]["schemas"].keys()
    assert [name for name in names if name.endswith(("Money", "Address"))] == ["Address", "Money"]
    assert [name for name in names if "-" in name or "_" in name] == []


def test_choices_are_named_and_used(document: Document) -> None:
    lead = fields(document, {"$ref": "#/components/schemas/LeadRead"})
    assert lead["status"]["$ref"] == "#/components/schemas/LeadStatus"
    assert lead["rating"]["anyOf"] == [{"$ref": "#/components/schemas/Rating"}, {"type": "null"}]
    inline = [one["enum"] for one in everything(document["components"]["schemas"]) if one.get("x-extensible-enum")]
    assert len(inline) == sum("x-extensible-enum" in one for one in document["components"]["schemas"].values())


def test_a_text_that_may_be_null_is_one_type_and_has_its_format(document: Document) -> None:
    lead = fields(document, {"$ref": "#/components/schemas/LeadCreate"})
    assert lead["first_name"]["type"] == ["string", "null"]
    formats = {name: lead[name].get("format") for name in ("email", "phone", "website", "description", "birth_date")}
    assert formats == {
        "email": "idn-email",
        "phone": "phone",
        "website": "uri",
        "description": "multiline",
        "birth_date": "date",
    }
    unions = [
        one["anyOf"] for one in everything(document["components"]["schemas"]) if isinstance(one.get("anyOf"), list)
    ]
    assert [one for one in unions if sum(choice.get("type") == "string" for choice in one) > 1] == []


def told_apart(document: Document, choices: list[Any]) -> set[str]:
    """The fields by which objects of a union are told apart: each choice requires it, with values that no other has."""
    described = [(fields(document, one), required(document, one)) for one in choices]
    found = set()
    for name in set.intersection(*({*names} & needed for names, needed in described)):
        kinds = [resolved(document, names[name]) for names, _ in described]
        values = [{kind["const"]} if "const" in kind else set(kind.get("enum", ())) for kind in kinds]
        if all(values) and len(set.union(*values)) == sum(map(len, values)):
            found.add(name)
    return found


def unions_without_their_discriminator(document: Document) -> list[str]:
    wrong = []
    for node in everything(document):
        choices = [one for key in ("anyOf", "oneOf") for one in node.get(key) or () if isinstance(one, dict)]
        objects = [one for one in choices if fields(document, one)]
        known = told_apart(document, objects) if len(objects) > 1 else set()
        named = node.get("discriminator", {}).get("propertyName")
        if (named in known) if known else (named is None):
            continue
        wrong.append(f"{[one.get('$ref') for one in objects]}: {named}, not one of {sorted(known)}")
    return wrong


def test_unions_have_a_discriminator_where_one_field_tells_their_members_apart(document: Document) -> None:
    assert unions_without_their_discriminator(document) == []
    kinds = [
        {"properties": {"kind": {"const": kind}}, "required": ["kind"], "type": "object"} for kind in ("task", "call")
    ]
    union: Document = {"anyOf": kinds}
    planted: Document = {"components": {"schemas": {"Any": union}}}
    assert len(unions_without_their_discriminator(planted)) == 1
    union["discriminator"] = {"propertyName": "kind"}
    assert unions_without_their_discriminator(planted) == []


def test_a_list_declares_what_it_takes(document: Document) -> None:
    leads = parameters(document, "/api/v1/leads")
    assert {"limit", "after", "sort", "q", "fields", "count", "status", "estimated_value.amount"} <= leads.keys()
    assert "-created_at" in leads["sort"]["schema"]["enum"]
    assert leads["status"]["schema"]["anyOf"][0] == {"$ref": "#/components/schemas/LeadStatus"}
    amount = resolved(document, leads["estimated_value.amount"]["schema"])
    value, operators = (resolved(document, one) for one in amount["anyOf"])
    assert value["type"] == "string"
    assert {"gte", "lte", "between", "is_null"} <= operators["properties"].keys()
    assert (leads["status"]["style"], leads["status"]["explode"]) == ("deepObject", True)


def test_an_answer_to_fields_may_lack_the_others(document: Document) -> None:
    items = document["components"]["schemas"]["LeadPage"]["properties"]["items"]["items"]["anyOf"]
    assert items == [{"$ref": "#/components/schemas/LeadRead"}, {"$ref": "#/components/schemas/LeadPart"}]
    schemas = document["components"]["schemas"]
    assert schemas["LeadPart"]["required"] == ["id"]
    assert {"id", "topic", "status"} <= required(document, schemas["LeadRead"])
    assert schemas["LeadPart"].keys() == {"allOf", "required"}
    assert required(document, schemas["LeadPart"]) == {"id"}
    assert fields(document, schemas["LeadPart"]) == fields(document, schemas["LeadRead"])


def test_problems_tell_their_members(document: Document) -> None:
    responses, schemas = document["components"]["responses"], document["components"]["schemas"]
    told = {
        name: schemas[one["content"]["application/problem+json"]["schema"]["$ref"].rpartition("/")[2]]
        for name, one in responses.items()
        if "application/problem+json" in one.get("content", {})
    }
    assert told.keys() == {"Problem"}
    members = {"allowed", "duplicates", "references", "survivor", "retry_after", "version", "errors"}
    assert members <= fields(document, told["Problem"]).keys()
    assert responses["Problem"]["headers"].keys() >= {"Retry-After", "RateLimit"}


def test_headers_of_answers_are_told(document: Document) -> None:
    made = resolved(document, document["paths"]["/api/v1/leads"]["post"]["responses"]["201"])
    assert made["headers"].keys() == {"ETag", "Location", "Crm-Version", "Idempotent-Replayed"}
    assert {"RateLimit", "Retry-After", "Deprecation"} <= document["components"]["headers"].keys()


def test_every_tag_is_described_and_in_one_area(document: Document) -> None:
    used = {tag for operation in operations(document) for tag in operation["tags"]}
    grouped = [tag for group in document["x-tagGroups"] for tag in group["tags"]]
    assert Counter(grouped) == Counter(used)
    assert {tag["name"] for tag in document["tags"]} == used
    assert [group["tags"] for group in document["x-tagGroups"] if group["name"] == OTHERS] == []


def shown(document: Document, media: Any) -> Any:
    """The example of a body; that of a page is made of its items' examples. None if there is none."""
    if "example" in media:
        return media["example"]
    schema = media["schema"]
    schema = resolved(document, next((one for one in schema.get("anyOf", ()) if "$ref" in one), schema))
    if "examples" in schema:
        return schema["examples"][0]
    items = schema.get("properties", {}).get("items", {}).get("items", {})
    item = resolved(document, items.get("anyOf", [items])[0])
    return {"items": item["examples"], "next": None} if "examples" in item else None


def test_every_request_and_answer_has_an_example_that_fits(whole: Document) -> None:
    document = whole
    missing, wrong, found = [], [], 0
    for operation in operations(document):
        answers = {code: resolved(document, one) for code, one in operation["responses"].items() if code < "3"}
        for place, body in {"request": operation.get("requestBody", {}), **answers}.items():
            for media in (one for one in body.get("content", {}).values() if "schema" in one):
                name, example = f"{operation['operationId']} {place}", shown(document, media)
                if example is None:
                    missing.append(name)
                    continue
                found += 1
                schema = {**media["schema"], "components": document["components"]}
                validator = Draft202012Validator(schema, validate_formats=True)
                wrong += [f"{name}: {error.instance_path} {error.message}" for error in validator.iter_errors(example)]
    assert (missing, wrong) == ([], [])
    assert found > 400


def examples(document: Document) -> Iterator[tuple[str, Any]]:
    """Every object in an example, inner ones first, by the schema or operation that shows it."""

    def objects(node: Any) -> Iterator[dict[str, Any]]:
        for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            yield from objects(value)
        if isinstance(node, dict):
            yield node

    for name, schema in document["components"]["schemas"].items():
        yield from ((name, one) for example in schema.get("examples", ()) for one in objects(example))


def test_no_example_is_made_of_nothing(whole: Document) -> None:
    for operation in operations(whole):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media in body.get("content", {}).values():
                assert media.get("example") != UNTOLD, operation["operationId"]
    assert [name for name, one in examples(whole) if UNTOLD in one.values()] == []


def amount(of: Any) -> Decimal:
    return Decimal(0) if of is None else Decimal(of["amount"])


def test_amounts_of_examples_add_up(whole: Document) -> None:
    documents = [(name, one) for name, one in examples(whole) if {"subtotal", "total", "lines"} <= one.keys()]
    assert {"QuoteRead", "OrderRead", "InvoiceRead"} <= {name for name, _ in documents}
    for name, one in documents:
        net = sum((amount(line["net"]) for line in one["lines"]), Decimal(0))
        tax = sum((amount(line["tax"]) for line in one["lines"]), Decimal(0))
        assert (amount(one["subtotal"]), amount(one["tax_total"])) == (net, tax), name
        for base in ("", "_base"):
            parts = {
                field: amount(one[f"{field}{base}"]) for field in ("subtotal", "discount_total", "tax_total", "freight")
            }
            total = parts["subtotal"] - parts["discount_total"] + parts["tax_total"] + parts["freight"]
            assert total == amount(one[f"total{base}"]), name
            if "balance" in one:
                settled = sum(amount(one[f"{field}{base}"]) for field in ("paid_total", "credited_total", "balance"))
                assert settled == total, name


def test_amounts_of_examples_have_one_currency_and_its_rate(whole: Document) -> None:
    checked = 0
    for name, one in examples(whole):
        if one.get("exchange_rate") is None:
            continue
        rate = Decimal(one["exchange_rate"])
        pairs = [(one[field], one[f"{field}_base"]) for field in one if one.get(f"{field}_base") is not None]
        for money, base in pairs:
            assert abs(amount(money) * rate - amount(base)) < Decimal("0.02"), (name, money, base)
            assert (money["currency"] == base["currency"]) == (rate == 1), name
            assert money["currency"] == one.get("currency", money["currency"]), name
            checked += 1
    assert checked > 20


def test_times_of_examples_are_in_order_and_states_agree_with_them(whole: Document) -> None:
    times = 0
    for name, one in examples(whole):
        at = [one[field] for field in ("created_at", "modified_at") if one.get(field) is not None]
        assert at == sorted(at), name
        for first, last in (
            ("scheduled_start_at", "scheduled_end_at"),
            ("start_date", "end_date"),
            ("issue_date", "due_date"),
        ):
            if one.get(first) is not None and one.get(last) is not None:
                assert one[first] <= one[last], name
        later = [
            field for field in one if field.endswith("_at") and field.startswith(("qualified", "won", "closed", "paid"))
        ]
        for field in later:
            if one[field] is not None and "created_at" in one:
                assert one[field] >= one["created_at"], (name, field)
                times += 1
        if "qualified_at" in one and "status" in one:
            assert (one["qualified_at"] is not None) == (one["status"] == "qualified"), name
    assert times > 1


def test_numbers_of_examples_are_those_of_the_product(whole: Document) -> None:
    own = re.compile(r"[A-Z]{3}-[0-9]{5}")
    kinds = {
        "LeadRead": "LEA",
        "AccountRead": "ACC",
        "ContactRead": "CON",
        "OpportunityRead": "OPP",
        "QuoteRead": "QUO",
    }
    kinds |= {"OrderRead": "ORD", "InvoiceRead": "INV", "CaseRead": "CAS"}
    for name, prefix in kinds.items():
        [example] = whole["components"]["schemas"][name]["examples"]
        assert own.fullmatch(example["number"]), name
        assert example["number"].startswith(prefix), name


def test_names_of_people_fit_their_addresses(whole: Document) -> None:
    people = [one for _, one in examples(whole) if one.get("last_name") and one.get("email")]
    own = [{name.lower() for name in (one.get("first_name"), one["last_name"]) if name} for one in people]
    assert [
        one["email"] for one, names in zip(people, own, strict=True) if not any(n in one["email"] for n in names)
    ] == []
    assert len(people) > 2


def test_every_operation_that_a_state_may_forbid_names_the_problem(document: Document) -> None:
    told = {one["operationId"] for one in operations(document) if "illegal-transition" in one.get("x-problems", ())}
    assert {"qualify_lead", "contact_lead", "win_opportunity", "complete_task", "resolve_case"} <= told


def test_problems_that_a_description_names_are_data_for_programs(document: Document, whole: Document) -> None:
    for brief, full in zip(operations(document), operations(whole), strict=True):
        named = [slug for slug in PROBLEMS if f"`{slug}`" in f"{full['summary']} {full.get('description', '')}"]
        assert sorted(named) == brief.get("x-problems", []), full["operationId"]
        assert full["summary"].startswith(brief["summary"].split()[0])
        assert "description" not in brief
    assert len(json.dumps(whole)) > len(json.dumps(document))


def test_every_problem_that_a_description_names_is_declared(whole: Document) -> None:
    text = json.dumps(whole["paths"])
    assert [slug for slug in PROBLEMS if f"`{slug}`" in text]
    assert "beyond-reach" in PROBLEMS
