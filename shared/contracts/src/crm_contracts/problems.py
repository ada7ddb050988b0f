"""The problem types (RFC 9457) of the suite, with their slugs, HTTP statuses and meanings.

Clients compare the slug, so its meaning never changes. The `detail` of an answer names the value, the record or the command.
The gateway shows these texts at `/problems/<slug>`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ProblemType:
    """A type of problem."""

    status: int
    """The HTTP status of the answers."""
    meaning: str
    """The problem and what the caller can do, for people."""


def _with(status: int, meanings: Mapping[str, str]) -> dict[str, ProblemType]:
    return {slug: ProblemType(status, meaning) for slug, meaning in meanings.items()}


_REQUEST: Final = {
    **_with(
        400,
        {
            "invalid-json": "Send valid JSON that is nested at most 32 levels deep.",
            "invalid-parameter": "A query parameter has a wrong value. `errors` names it and says what is allowed.",
            "invalid-filter": "A filter has an unknown field, an unknown operator or a value of the wrong type, or is too large."
            " `detail` says what is allowed.",
            "invalid-cursor": "The cursor was changed, or belongs to another list, filter, sort order or caller. Start again"
            " without `after`.",
            "invalid-header": "A header has a wrong value. `detail` names the header.",
            "invalid-idempotency-key": "Send an Idempotency-Key of 1 to 255 visible ASCII characters.",
            "invalid-request": "The request is not valid. `detail` says what to send.",
        },
    ),
    **_with(
        401,
        {
            "token-missing": "Send `Authorization: Bearer <token>`; `POST /api/v1/auth/token` issues one.",
            "token-invalid": "The access token cannot be read, comes from another issuer, or has a wrong signature. Log in"
            " again.",
            "token-expired": "An access token is valid for ten minutes. Get a new one with the refresh token.",
            "token-superseded": "Your rights, your password or the status of your account has changed since the token was issued."
            " Get a new one with the refresh token. If that is refused, log in again.",
            "session-ended": "Nobody is logged in with this cookie, or no longer. Log in with `POST /api/v1/session`.",
        },
    ),
    "forbidden": ProblemType(
        403,
        "None of your security roles allows this, or none allows it for this record. `detail` names the privilege that you need."
        " Ask an administrator for a role that has it.",
    ),
    "cross-site-request": ProblemType(
        403,
        "Another site may have sent this request with the cookie of the person who is logged in. Pages of this site send"
        " `Sec-Fetch-Site: same-origin` or their `Origin`, and `Crm-Csrf: 1` with requests that change something. Other programs"
        " send an access token.",
    ),
    "encryption-required": ProblemType(
        403, "The cookie of a session would pass a network in clear text. Log in over HTTPS, or from the same machine."
    ),
    "origin-not-allowed": ProblemType(
        403,
        "Pages of this origin may not call the API. Ask your operators to add the origin to `CRM_CORS_ORIGINS`, or call the API"
        " from a server.",
    ),
    "not-found": ProblemType(
        404, "The path or record does not exist, or you may not read it. The answer does not say which."
    ),
    "method-not-allowed": ProblemType(
        405, "The path does not take this method. The header Allow lists those it takes."
    ),
    "request-timeout": ProblemType(
        408,
        "The head of a request must arrive within 10 seconds, and so must its body. A file must arrive at 1 KiB a second or"
        " more. Send the request in one piece, over a faster connection.",
    ),
    **_with(
        409,
        {
            "illegal-transition": "The status of the record does not allow this command. `allowed` lists the commands that it"
            " allows. `GET /api/v1/meta/state-machines` shows all state machines.",
            "possible-duplicates": "Records with the same e-mail address, phone number or a similar name exist. The problem lists"
            " them. Use one of them, or repeat the request with `duplicates=allow`, or with `allow_duplicates: true` in a"
            " command that creates customers.",
            "in-progress": "A request with the same Idempotency-Key is still running. Send it again in a moment.",
            "in-use": "Other records refer to this one. The problem lists them. Change or delete them first.",
            "not-deletable": "The status of the record does not allow deletion. `detail` says what to do instead.",
            "unfinished-business": "Records that belong to this one are not finished. The problem lists them. Finish them, or"
            " send `force: true`.",
            "already-exists": "Another record has this value, which must be unique. Send another value.",
        },
    ),
    "merged": ProblemType(410, "The record was merged into another. The problem links the survivor. Use that one."),
    "stale": ProblemType(
        412,
        "The record has changed since you read it. Read it again, check your change, and send the new ETag in If-Match.",
    ),
    "body-too-large": ProblemType(413, "Send a body of at most 1 MiB. Imports and files may be larger."),
    "unsupported-media-type": ProblemType(
        415, "Send application/json, or application/merge-patch+json in a PATCH, and no Content-Encoding."
    ),
    "range-not-satisfiable": ProblemType(
        416, "The range begins after the end of the file. Content-Range tells its size: ask for another range."
    ),
    "if-match-required": ProblemType(428, "Send If-Match with the record's ETag, or `*` to overwrite any version."),
    "too-many-requests": ProblemType(
        429,
        "You send more requests than your share, in one second or at the same time. Wait for the seconds in Retry-After. The"
        " RateLimit headers say how many requests remain in this second.",
    ),
    "head-too-large": ProblemType(
        431, "Send at most 64 KiB in the request line and the header fields, and at most 100 fields."
    ),
    "internal-error": ProblemType(500, "An internal error occurred. Give your operators the `trace_id`."),
    "upstream-failed": ProblemType(
        502, "A service gave an invalid answer. Try again, or give your operators the `trace_id`."
    ),
    **_with(
        503,
        {
            "not-yet-projected": "The service did not receive the versions in Crm-After within two seconds. Try again. If the"
            " code is `parked`, tell your operators.",
            "unavailable": "A service or its database is down or busy. Try again after the seconds in Retry-After. Send an"
            " Idempotency-Key with a POST, so that the retry is safe.",
        },
    ),
    "deadline-exceeded": ProblemType(
        504,
        "The request took longer than its deadline, and it may have taken effect. Send it again with the same Idempotency-Key,"
        " or read the record.",
    ),
}
"""Problems of any request."""

_VALUES: Final = _with(
    422,
    {
        "validation": "The body does not fit its schema. `errors` points at each place.",
        "read-only-field": "The body sets a field that only the system or a command sets. Leave it out.",
        "unknown-reference": "A reference points at a record that does not exist or that you may not read. If the record was just"
        " created in another service, send its `Crm-Version` as `Crm-After`.",
        "inactive-reference": "A new reference cannot point at an inactive record. Choose another one, or activate it first.",
        "merged-reference": "A reference points at a record that was merged into another. Use the survivor, which the problem"
        " names if you may read it.",
        "unknown-reason": "The command does not take this reason. The message lists the reasons that it takes.",
        "idempotency-key-reused": "The Idempotency-Key was used with another body in the last 24 hours. Send a new key.",
        "too-expensive": "The request would take longer than its deadline. `detail` says what to leave out. For a list, also"
        " filter by `status`, `owner_id` or `created_at`, search for longer text, or leave out `count=exact`.",
        "too-large": "An amount has more than 15 digits before the decimal point, or the event of the record would be larger"
        " than 1 MiB. Shorten or lower the field that the problem names.",
        "too-long": "A period or a text is longer than allowed. The message says what the limit is.",
        "invalid-phone": "A telephone number may hold digits, spaces and + ( ) - . /, as in +49 170 1234567.",
        "circular-parent": "A record cannot be below itself. Choose a parent that is neither this record nor below it.",
        "too-deep": "The tree would have more levels than allowed. Choose a parent that is higher up.",
        "merge-with-itself": "A record cannot be merged into itself. Choose another one.",
        "read-only-record": "A qualified lead takes no fields over in a merge. Leave `fields` and `fill_empty` out.",
        "unreadable-file": "The file cannot be read. `detail` names the first line that is wrong, and why.",
        "invalid-mapping": "The mapping names a column that the file does not have or a field that cannot be imported.",
        "in-the-future": "The date or time must not be in the future.",
        "not-in-the-future": "The time must be in the future.",
        "end-before-start": "The end must not be before the start.",
    },
)
"""Problems of values, in any service."""

_IDENTITY: Final = {
    "invalid-grant": ProblemType(
        400, "The password, refresh token or client secret is wrong, already used or expired (RFC 6749 §5.2)."
    ),
    "invalid-client": ProblemType(401, "The client is unknown, or its secret is wrong (RFC 6749 §5.2)."),
    **_with(
        409,
        {
            "owns-records": "The user, team or API client owns records. The problem says how many in each service. Name their new"
            " owner with `transfer_to`, or disable the user.",
            "source-deleted": "The mail as it arrived is no longer kept, because its e-mail was deleted, or because the days of"
            " `CRM_MAIL_SOURCE_DAYS` have passed since it arrived.",
            "being-removed": "The records of this user, team or API client are moving to another owner, and then it is deleted."
            " The problem links the removal. Wait until it has ended.",
        },
    ),
    "last-administrator": ProblemType(
        409, "At least one user who can log in must keep the Administrator role. Give it to another user first."
    ),
    "account-locked": ProblemType(
        429,
        "Too many log-ins with this name failed. Wait for the seconds in Retry-After before you try again, or ask an"
        " administrator for a new password (`reset-password`).",
    ),
    **_with(
        422,
        {
            "guessable-password": "The password is easy to guess: it is common, repeats itself, or contains your name, your"
            " address or the organisation's name. Choose several unrelated words.",
            "wrong-password": "The current password is wrong.",
            "base-currency-fixed": "The organisation's base currency cannot change, because amounts were converted with it.",
            "cycle": "A business unit cannot be below itself. Choose a parent that is neither this unit nor below it.",
            "root-unit": "The root unit has no parent, and every other unit has one.",
            "unknown-entity": "The role names records that do not exist. The message lists those that do.",
            "invalid-depth": "Records without an owner are granted for the organisation, or not at all.",
            "too-many-rights": "The teams and roles do not fit into an access token. Assign fewer of them.",
        },
    ),
}

_SALES: Final = {
    "already-ordered": ProblemType(409, "A quote can become an order only once. The problem names the order."),
    "credit-hold": ProblemType(
        409,
        "The customer is on credit hold. Clear `credit_hold` on the account first. Whoever holds the right"
        " `credit_override` can send `force: true`.",
    ),
    "credit-limit": ProblemType(
        409,
        "The order would exceed the customer's credit limit. The problem shows the amount of the order in base currency, and to"
        " callers who may read the account the limit and the amount that is open. Wait for payments, or raise the limit. Whoever"
        " holds the right `credit_override` can send `force: true`.",
    ),
    "already-reversed": ProblemType(409, "A payment can be reversed only once. Record another payment if it arrived."),
    **_with(
        422,
        {
            "actual-value-required": "A won deal needs its value. Send `actual_value`, or set the estimated value first.",
            "already-expired": "The last day of the quote is over. Move `effective_to` first.",
            "base-currency": "The base currency needs no exchange rate. Send another currency.",
            "beyond-reach": "Your privilege on goals does not reach the goal owner. Choose another one.",
            "closed-at-required": "A deal that was won or lost needs the time at which it was closed.",
            "closed-before-opened": "A deal cannot be closed before it was opened.",
            "competitor-kept": "A close record of the deal names the competitor. Keep it.",
            "content-required": "Sales literature needs a text or a link.",
            "contradicting-terms": "Payment terms and payment conditions say when to pay. Send one of the two.",
            "contradicts-method": "The pricing method does not use this field. Leave it out.",
            "currency-mismatch": "The amount is in another currency than the record. Send it in the currency of the record.",
            "customer-created-on-win": "This organisation creates customers when a deal is won. Leave the customer out.",
            "customer-required": "The record needs a customer.",
            "discount-too-large": "The discount is larger than the amount that it reduces.",
            "due-before-issue": "An invoice cannot be due before the day on which it is issued.",
            "duplicate-line": "A line is named twice. Send each line once.",
            "family-has-no-price": "A product family is not sold and has no price.",
            "invalid-schema": "The schema is not accepted. `errors` says where, and what is allowed.",
            "fixed-by-origin": "The value comes from the order or invoice that this document was made from.",
            "incomplete-discount": "A discount for early payment has a percentage above 0 and days, at most the days to pay.",
            "lines-required": "Add at least one line first.",
            "list-price-required": "The pricing method needs the list price of the product. Set it first.",
            "name-required": "A lead needs a last name or a company name.",
            "no-due-date": "A credit note has no due date.",
            "no-exchange-rate": "No exchange rate of the currency is in force on that day. Add one at `/exchange-rates`.",
            "no-sales-stage": "There is no sales stage. Add one at `/sales-stages`.",
            "not-a-family": "Only a product family can be the parent of a product.",
            "not-closed": "The deal is open. Leave the time of its end out.",
            "not-lost": "Only a lost deal has a reason for its loss.",
            "not-out-sold": "Only a deal that is lost as `out_sold` names who won it.",
            "not-rising": "Each volume break needs a higher quantity than the one before it.",
            "not-won": "Only a won deal has an actual value.",
            "nothing-paid": "A payment must be more than zero.",
            "one-discount": "Send either a discount in percent or an amount.",
            "other-metric": "A goal and its parent count the same metric.",
            "outside-parent": "The period of a goal lies within that of its parent.",
            "overpayment": "The payment is larger than the open balance.",
            "parts-outside": "Goals below this one would lie outside its period.",
            "period-over": "The contract has ended. Move its end first.",
            "period-required": "The contract needs a start and an end before it can be activated.",
            "price-list-not-valid": "The price list is not in force on that day.",
            "price-required": "The line needs a unit price: its price list has none.",
            "product-required": "The line needs a product.",
            "quantity-exceeded": "The quantity is more than what is left of the line.",
            "reserved-number": "The service assigns numbers of this form. Leave the number out, or send one of another form.",
            "stage-required": "Send `stage` or `stage_id`.",
            "stretch-below-target": "The stretch target must not be below the target.",
            "target-required": "A goal needs the target of its metric, and no other.",
            "tax-required": "The line needs a tax percentage.",
            "too-many-competitors": "A deal names too many competitors. The message says how many there may be.",
            "too-many-decimals": "The number has more decimals than allowed.",
            "too-many-payments": "The invoice has as many payments as it can take.",
            "unknown-line": "The document has no such line.",
            "value-from-lines": "The value of the deal is the sum of its lines. Change the lines, or set"
            " `estimated_value_source` to `user`.",
        },
    ),
}

_MARKETING: Final = _with(
    422, {"already-launched": "A launched campaign cannot become a template. Copy it as a template instead."}
)

_SERVICE: Final = _with(
    422, {"more-than-spent": "The billable minutes cannot be more than the minutes that were spent."}
)

_ACTIVITIES: Final = {
    "delivery-uncertain": ProblemType(
        409, "The mail may have been delivered. Ask a recipient, then send `confirm: true` to send it again."
    ),
    "too-many-occurrences": ProblemType(409, "The series has more than 1,000 such appointments. End it instead."),
    **_with(
        422,
        {
            "circular-rules": "These rules would create activities without end. Choose another event or activity type.",
            "contradicts-reminder": "Send either the time of the reminder or the minutes before the start.",
            "contradicts-times": "The duration differs from the time between start and end. Leave it out.",
            "empty-subject": "The subject of the template is empty with these values. Correct the template.",
            "first-occurrence": "Change the whole series instead: this is its first occurrence.",
            "invalid-rule": "Send a recurrence rule as in RFC 5545 that produces the start, such as `FREQ=WEEKLY;BYDAY=MO`.",
            "invalid-template": "Correct the template. The message names the line and the reason.",
            "mail-too-large": "The attachments of the mail are larger than mail servers take. Remove some.",
            "missing-variable": "The template needs a value that is missing. Send it, or give the variable a default.",
            "one-organizer": "An appointment has one organizer. Invite the others.",
            "no-such-occurrence": "Send `occurrence_at` of an occurrence of the series.",
            "only-all-day": "Dates are for all-day appointments. Send `all_day` true, or the start and end as times.",
            "only-timed": "An all-day appointment has dates. Leave the times out.",
            "other-entity": "The template is for mails about records of another type. Send one of its type as `regarding`.",
            "text-required": "A document needs a text. Send `text`, or set `description` first.",
            "owner-required": "Records of this event have no owner. Name the user or team that owns the activity.",
            "party-or-address": "A party needs a record, an address or both.",
            "recipient-required": "A mail needs a recipient with an address before it is sent.",
            "tasks-only": "Only tasks have this field. Leave it out.",
            "time-required": "An appointment needs a start and an end, or days if it is all day.",
            "too-early": "A series begins within the last 366 days or later.",
            "too-late": "Send times within the years 1 to 9999.",
            "too-many-rules": "At most 500 rules may be active. Switch off another one first.",
            "unknown-event": "Rules name events of records, such as crm.sales.lead.created.v1.",
            "unknown-kind": "No mail can be about such records. Send the name of an entity, such as contact, or null.",
            "unknown-placeholder": "A placeholder is {name} or a field of the event.",
            "unknown-sender": "The sender is one of the addresses of the settings.",
            "unknown-variable": "The template names a variable that does not exist. The message lists those that do.",
        },
    ),
}

PROBLEMS: Final[Mapping[str, ProblemType]] = {
    **_REQUEST,
    **_VALUES,
    **_IDENTITY,
    **_SALES,
    **_MARKETING,
    **_SERVICE,
    **_ACTIVITIES,
}
"""Every problem type, by slug."""
