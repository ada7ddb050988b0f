"""The closed lists of the sales fields, shared by domain code, APIs and events."""

from enum import StrEnum


class LeadSource(StrEnum):
    ADVERTISEMENT = "advertisement"
    EMPLOYEE_REFERRAL = "employee_referral"
    PARTNER = "partner"
    CAMPAIGN = "campaign"
    SALES_DRIVE = "sales_drive"
    WEB = "web"
    WORD_OF_MOUTH = "word_of_mouth"
    OTHER = "other"


class Rating(StrEnum):
    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class Gender(StrEnum):
    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class Need(StrEnum):
    MUST_HAVE = "must_have"
    SHOULD_HAVE = "should_have"
    GOOD_TO_HAVE = "good_to_have"
    NONE = "none"


class PreferredChannel(StrEnum):
    ANY = "any"
    EMAIL = "email"
    PHONE = "phone"
    MOBILE = "mobile"
    POST = "post"
    CHAT = "chat"


class Tier(StrEnum):
    """Importance of a customer. A won deal makes it at least standard."""

    PROSPECT = "prospect"
    STANDARD = "standard"
    IMPORTANT = "important"
    KEY = "key"


class BuyingPower(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class LeadStatus(StrEnum):
    OPEN = "open"
    QUALIFIED = "qualified"
    DISQUALIFIED = "disqualified"


class LeadStatusReason(StrEnum):
    """open: new, contacted; qualified: qualified; disqualified: the other four."""

    NEW = "new"
    CONTACTED = "contacted"
    QUALIFIED = "qualified"
    LOST = "lost"
    CANNOT_CONTACT = "cannot_contact"
    NO_LONGER_INTERESTED = "no_longer_interested"
    CANCELED = "canceled"


class DisqualifyReason(StrEnum):
    LOST = "lost"
    CANNOT_CONTACT = "cannot_contact"
    NO_LONGER_INTERESTED = "no_longer_interested"
    CANCELED = "canceled"


class OpportunityStatus(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class OpportunityStatusReason(StrEnum):
    """open: in_progress, on_hold; won: won; lost: canceled, out_sold."""

    IN_PROGRESS = "in_progress"
    ON_HOLD = "on_hold"
    WON = "won"
    CANCELED = "canceled"
    OUT_SOLD = "out_sold"


class LossReason(StrEnum):
    CANCELED = "canceled"
    OUT_SOLD = "out_sold"


class CloseOutcome(StrEnum):
    WON = "won"
    LOST = "lost"


class CustomerType(StrEnum):
    ACCOUNT = "account"
    CONTACT = "contact"


class QualifiedEntity(StrEnum):
    """The entities that the qualification of a lead may create."""

    ACCOUNT = "account"
    CONTACT = "contact"
    OPPORTUNITY = "opportunity"


class CustomerCreation(StrEnum):
    """When account and contact are created from a lead: when it is qualified, or when its deal is won."""

    ON_QUALIFY = "on_qualify"
    ON_WIN = "on_win"


class TaxRounding(StrEnum):
    """Where the tax of a document is rounded: in each line, or once for each tax percentage of the document."""

    LINE = "line"
    DOCUMENT = "document"


class HeaderDiscount(StrEnum):
    """Whether the discount on the subtotal lowers the amount that is taxed, or is subtracted without changing the tax."""

    BEFORE_TAX = "before_tax"
    AFTER_TAX = "after_tax"


class ProductStructure(StrEnum):
    """A family groups products and families. Only products are sold."""

    PRODUCT = "product"
    FAMILY = "family"


class ProductType(StrEnum):
    GOOD = "good"
    SERVICE = "service"
    SUBSCRIPTION = "subscription"


class ProductStatus(StrEnum):
    """States. Each has one reason with the same name."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


class PricingMethod(StrEnum):
    """How a price list defines the price of a product."""

    AMOUNT = "amount"
    PERCENT_OF_LIST = "percent_of_list"


class LiteratureType(StrEnum):
    """Kinds of sales literature (Dataverse: LiteratureTypeCode)."""

    PRESENTATION = "presentation"
    PRODUCT_SHEET = "product_sheet"
    POLICIES_AND_PROCEDURES = "policies_and_procedures"
    SALES_LITERATURE = "sales_literature"
    SPREADSHEETS = "spreadsheets"
    NEWS = "news"
    BULLETINS = "bulletins"
    PRICE_SHEETS = "price_sheets"
    MANUALS = "manuals"
    COMPANY_BACKGROUND = "company_background"
    MARKETING_COLLATERAL = "marketing_collateral"


class GoalMetric(StrEnum):
    """The metric of a goal: won deals by value or by number, qualified leads, or resolved cases."""

    WON_AMOUNT = "won_amount"
    WON_COUNT = "won_count"
    LEADS_QUALIFIED = "leads_qualified"
    CASES_RESOLVED = "cases_resolved"


class GoalStatus(StrEnum):
    """States. Each has one reason with the same name."""

    OPEN = "open"
    CLOSED = "closed"
    DISCARDED = "discarded"


class EstimatedValueSource(StrEnum):
    """The source of a deal's estimated value: a person gave it, or it is the sum of its lines."""

    USER = "user"
    LINES = "lines"


class QuoteStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    WON = "won"
    CLOSED = "closed"


class QuoteStatusReason(StrEnum):
    """draft: draft; active: active; won: won; closed: the other four."""

    DRAFT = "draft"
    ACTIVE = "active"
    WON = "won"
    LOST = "lost"
    CANCELED = "canceled"
    REVISED = "revised"
    EXPIRED = "expired"


class PaymentTerms(StrEnum):
    """When an invoice is due: at once, or a number of days after it was issued."""

    DUE_ON_RECEIPT = "due_on_receipt"
    NET_10 = "net_10"
    NET_15 = "net_15"
    NET_30 = "net_30"
    NET_45 = "net_45"
    NET_60 = "net_60"


class SalesContractStatus(StrEnum):
    """States of a sales contract. Each has one reason with the same name."""

    DRAFT = "draft"
    ACTIVE = "active"
    ENDED = "ended"
    TERMINATED = "terminated"


class OrderStatus(StrEnum):
    ACTIVE = "active"
    SUBMITTED = "submitted"
    FULFILLED = "fulfilled"
    INVOICED = "invoiced"
    CANCELED = "canceled"


class OrderStatusReason(StrEnum):
    """active: new, pending; submitted: submitted; fulfilled: complete, partial; invoiced: invoiced; canceled: canceled."""

    NEW = "new"
    PENDING = "pending"
    SUBMITTED = "submitted"
    COMPLETE = "complete"
    PARTIAL = "partial"
    INVOICED = "invoiced"
    CANCELED = "canceled"


class InvoiceKind(StrEnum):
    """An invoice is what a customer owes. A credit note gives back a part of it."""

    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class InvoiceStatus(StrEnum):
    DRAFT = "draft"
    ISSUED = "issued"
    PAID = "paid"
    CANCELED = "canceled"


class InvoiceStatusReason(StrEnum):
    """draft: draft; issued: issued; paid: partial, complete; canceled: canceled."""

    DRAFT = "draft"
    ISSUED = "issued"
    PARTIAL = "partial"
    COMPLETE = "complete"
    CANCELED = "canceled"


class PaymentMethod(StrEnum):
    CASH = "cash"
    BANK_TRANSFER = "bank_transfer"
    CARD = "card"
    DIRECT_DEBIT = "direct_debit"
    CHECK = "check"
    OTHER = "other"
