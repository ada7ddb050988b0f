"""Areas of work, in the order of the documentation, and what the tags of each are about."""

from collections.abc import Iterable
from typing import Any, Final

AREAS: Final = {
    "Start": {
        "authentication": "Log in, refresh and end a session, and ask who you are.",
        "session": "Log in by cookie, for pages.",
        "search": "Find records of every kind.",
        "imports": "Imports of files: what runs, what came of it, and which rows were refused.",
        "meta": "What there is: entities with their fields, and state machines.",
    },
    "Sales": {
        "leads": "People and companies that may buy, until they are qualified or given up.",
        "opportunities": "Deals, from the first talk to won or lost.",
        "accounts": "Companies that you do business with.",
        "contacts": "People that you do business with.",
        "customers": "Everything about an account or a contact in one answer.",
        "competitors": "Who else wants the deals.",
        "goals": "Targets of users and teams, and how far they are.",
    },
    "Quotes to invoices": {
        "quotes": "Offers with lines and prices, and their revisions.",
        "orders": "What a customer has ordered.",
        "invoices": "Invoices, credit notes and their payments.",
        "sales contracts": "Contracts with a period and a value.",
    },
    "Products and prices": {
        "products": "Products and families of products.",
        "price lists": "Lists of prices in one currency.",
        "price list items": "The price of a product in a price list, with breaks by volume.",
        "sales literature": "Brochures, sheets and links for sellers.",
    },
    "Marketing": {"campaigns": "Campaigns and what they brought."},
    "Service": {"cases": "Questions and complaints of customers, until they are resolved."},
    "Activities": {
        "activities": "Activities of every type in one list.",
        "tasks": "What somebody has to do by when.",
        "calendar feeds": "Secret links by which calendar programs read appointments.",
        "appointments": "Meetings with attendees, at a place or on the web.",
        "phone calls": "Calls that are planned or were made.",
        "emails": "Mails that were written or received, in conversations.",
        "email templates": "Texts from which mails are written, with variables.",
        "recurring appointments": "Series of appointments by a rule.",
        "incoming mails": "Mails as they arrived, before and after they are read.",
        "letters": "Letters that are written, were sent or were received, with their document as PDF.",
        "faxes": "Faxes that are written, were sent or were received.",
        "notes": "Short texts on any record, with files.",
        "activity rules": "Activities that are created after events.",
        "activity types": "Types of custom activities, with the JSON Schema of their values.",
        "attachments": "Files of any record.",
        "timeline": "What happened about a record, newest first.",
    },
    "Insights": {"funnel": "How leads become deals, by stage.", "reports": "Figures of all records that you may read."},
    "Administration": {
        "users": "People who log in.",
        "teams": "Groups of users that own records and have roles together.",
        "business units": "The tree of units that rights follow.",
        "security roles": "What users and teams may do.",
        "API clients": "Programs that log in.",
        "removals": "Deletions of users, teams and API clients, and how far they are.",
        "settings": "Settings of the organisation and of sales.",
        "sales stages": "Stages of deals and their probability.",
        "exchange rates": "Rates of currencies by day.",
    },
}
"""Tags of operations by area, with a description each."""

OTHERS: Final = "Others"


def grouped(used: Iterable[str]) -> dict[str, Any]:
    """Return ``tags`` and ``x-tagGroups`` of a document for the tags that its operations use."""
    found = set(used)
    groups = {area: [tag for tag in tags if tag in found] for area, tags in AREAS.items()}
    groups[OTHERS] = sorted(found - {tag for tags in AREAS.values() for tag in tags})
    described = {tag: text for tags in AREAS.values() for tag, text in tags.items()}
    listed = [tag for tags in groups.values() for tag in tags]
    return {
        "tags": [{"name": tag, "description": described.get(tag, tag.capitalize())} for tag in listed],
        "x-tagGroups": [{"name": area, "tags": tags} for area, tags in groups.items() if tags],
    }
