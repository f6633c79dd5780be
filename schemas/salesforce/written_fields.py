"""What we write into a Salesforce org: our objects and fields as data, and where each value comes from.

Place     crm_sync (what is written), bridge and crm_feed (which changes are echoes of ours), `fakturo salesforce setup`
          (the metadata package) -> [this]. A field that is not here is not written, and one that is here is deployed.
Order     parents first: an object stands after those that it refers to; `Account` is the company's own, of which we
          write the fields below and no other.
Amounts   plain numbers in the major unit beside the currency's code: a Currency field shows the org's own currency
          where several are not switched on. Four decimals hold every currency of ISO 4217.
Source    Salesforce, Metadata API guide (CustomObject, CustomField): an external id has at most 255 characters, a
          number 18 digits, a name 80 characters; Object reference, field types. reference/salesforce.md section 5.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ACCOUNT = "Account"
INVOICE = "Fakturo_Invoice__c"
INVOICE_LINE = "Fakturo_Invoice_Line__c"

NUMBER_DIGITS = 18
MONEY_SCALE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenField:
    """One field. `kind` is the Metadata API's type: Text, LongTextArea, Number, Date, DateTime, Picklist, Lookup,
    MasterDetail, or Name for the record's name.

    `length` is in characters (Text, LongTextArea, Name), `precision` and `scale` are digits (Number), `values` those of
    a picklist, `target` and `relationship` the parent object and what its list of children is called. `source` says
    where the value comes from: `invoice.*` and `line.*` a document, `ledger.*` the receivables, `kpi.<name>.<window>`,
    `schedule.*` the subscriptions, `account.*` the account.
    """

    name: str
    label: str
    kind: str
    source: str
    help: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    external_id: bool = False
    unique: bool = False
    values: tuple[str, ...] = ()
    target: str = ""
    relationship: str = ""

    @property
    def is_reference(self) -> bool:
        """Return whether the field points to another record."""
        return self.kind in ("Lookup", "MasterDetail")

    @property
    def reference_name(self) -> str:
        """Return the name under which a parent is given by its external id: `Corrects__r` of `Corrects__c`."""
        return self.name.removesuffix("__c") + "__r"


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenObject:
    """One object: `key_field` finds the record (an external id of ours, or `Id`); `is_ours` where we deploy it too."""

    name: str
    label: str
    plural_label: str
    key_field: str
    is_ours: bool
    fields: tuple[WrittenField, ...]

    def field(self, name: str) -> WrittenField:
        """Return the field called `name`; KeyError where we write none of that name."""
        return next((field for field in self.fields if field.name == name), None) or _missing(self.name, name)


def _missing(entity: str, name: str) -> WrittenField:
    raise KeyError(f"{entity} has no written field {name!r}")


def _text(name: str, label: str, source: str, help_text: str, length: int = 255) -> WrittenField:
    return WrittenField(name=name, label=label, kind="Text", source=source, help=help_text, length=length)


def _long_text(name: str, label: str, source: str, help_text: str) -> WrittenField:
    return WrittenField(name=name, label=label, kind="LongTextArea", source=source, help=help_text, length=32_768)


def _key(name: str, label: str, source: str, help_text: str) -> WrittenField:
    return WrittenField(
        name=name,
        label=label,
        kind="Text",
        source=source,
        help=help_text,
        length=255,
        external_id=True,
        unique=True,
    )


def _number(name: str, label: str, source: str, help_text: str, scale: int = MONEY_SCALE) -> WrittenField:
    return WrittenField(
        name=name, label=label, kind="Number", source=source, help=help_text, precision=NUMBER_DIGITS, scale=scale
    )


def _date(name: str, label: str, source: str, help_text: str) -> WrittenField:
    return WrittenField(name=name, label=label, kind="Date", source=source, help=help_text)


def _instant(name: str, label: str, source: str, help_text: str) -> WrittenField:
    return WrittenField(name=name, label=label, kind="DateTime", source=source, help=help_text)


def _choice(name: str, label: str, source: str, help_text: str, values: tuple[str, ...]) -> WrittenField:
    return WrittenField(name=name, label=label, kind="Picklist", source=source, help=help_text, values=values)


def _name(label: str, source: str, help_text: str) -> WrittenField:
    return WrittenField(name="Name", label=label, kind="Name", source=source, help=help_text, length=80)


ACCOUNT_FIELDS = (
    _text("Fakturo_Currency__c", "Billing Currency", "account.currency", "Currency of the amounts below.", 3),
    _number(
        "Fakturo_Lifetime_Value__c",
        "Lifetime Value",
        "kpi.lifetime_value.lifetime",
        "All net revenue less payment fees and bad debt.",
    ),
    _number("Fakturo_MRR__c", "MRR", "kpi.mrr.now", "Monthly recurring revenue."),
    _choice(
        "Fakturo_Payer_Rating__c",
        "Payer Rating",
        "kpi.on_time_rate.365d",
        "A pays on time, E does not; by the percentage paid on time in a year.",
        ("A", "B", "C", "D", "E"),
    ),
    _number(
        "Fakturo_Days_To_Pay__c",
        "Days to Pay",
        "kpi.days_to_pay.365d",
        "Days from invoice to payment, weighted by amount, in a year.",
    ),
    _date("Fakturo_Next_Invoice_On__c", "Next Invoice", "schedule.next_invoice_on", "When the next invoice falls due."),
    _number(
        "Fakturo_Usage_Trend__c",
        "Usage Trend",
        "kpi.usage_trend.now",
        "Change of the newest month's usage against the month before, in percent.",
    ),
    _number("Fakturo_Open_Amount__c", "Open Amount", "kpi.open_receivables.now", "What the customer owes today."),
)

INVOICE_FIELDS = (
    _name("Invoice Number", "invoice.number", "The number of the document; Draft while it has none."),
    _key("Fakturo_Invoice_Id__c", "Fakturo Invoice Id", "invoice.invoice_id", "Id of the document in Fakturo."),
    WrittenField(
        name="Account__c",
        label="Account",
        kind="Lookup",
        source="account.salesforce_id",
        help="The account that the document is addressed to.",
        target=ACCOUNT,
        relationship="Fakturo_Invoices",
    ),
    _choice("Document_Type__c", "Document Type", "invoice.type", "Invoice or credit note.", ("Invoice", "Credit Note")),
    _choice(
        "Status__c",
        "Status",
        "ledger.status",
        "Where the document is in its life; a credit note is issued.",
        ("Draft", "Open", "Paid", "Void", "Uncollectible", "Issued"),
    ),
    _choice(
        "Payment_Status__c",
        "Payment Status",
        "ledger.payment_status",
        "What the customer has done about it; empty for drafts, void invoices and credit notes.",
        ("Unpaid", "Partially Paid", "Paid", "Written Off"),
    ),
    _date("Issue_Date__c", "Issue Date", "invoice.issue_date", "Date of the document."),
    _date("Due_Date__c", "Due Date", "invoice.due_date", "When payment is due."),
    _date("Paid_On__c", "Paid On", "ledger.paid_on", "When nothing was open any more."),
    _instant("Period_Start__c", "Period Start", "invoice.period.start", "First instant of the billing period."),
    _instant("Period_End__c", "Period End", "invoice.period.end", "First instant after the billing period."),
    _text("Currency__c", "Currency", "invoice.currency", "Currency of the amounts.", 3),
    _number("Subtotal__c", "Subtotal", "invoice.subtotal_minor", "Net amount: lines and discounts."),
    _number("Tax__c", "Tax", "invoice.tax_minor", "Tax on the net amount."),
    _number("Total__c", "Total", "invoice.total_minor", "Net amount and tax; negative on a credit note."),
    _number("Credits_Applied__c", "Credits Applied", "invoice.credits_applied_minor", "What prepaid credit has paid."),
    _number("Amount_Due__c", "Amount Due", "invoice.amount_due_minor", "The total less credits applied."),
    _number("Open_Amount__c", "Open Amount", "ledger.open_minor", "What is still to be paid."),
    _text("Payment_Terms__c", "Payment Terms", "invoice.payment_terms", "Terms of payment.", 80),
    WrittenField(
        name="Corrects__c",
        label="Corrects",
        kind="Lookup",
        source="invoice.corrects",
        help="The invoice that a credit note corrects.",
        target=INVOICE,
        relationship="Credit_Notes",
    ),
    _text("Reason__c", "Reason", "invoice.reason", "Why a credit note or a void came about."),
    _text("Seller__c", "Seller", "invoice.seller.name", "Who has issued the document."),
    _long_text("Notes__c", "Notes", "invoice.notes", "What tax law wants said on the document."),
)

INVOICE_LINE_FIELDS = (
    _name("Line", "line.description", "What is charged, in short."),
    _key("Fakturo_Line_Id__c", "Fakturo Line Id", "line.line_id", "Id of the line in Fakturo."),
    WrittenField(
        name="Fakturo_Invoice__c",
        label="Invoice",
        kind="MasterDetail",
        source="invoice.invoice_id",
        help="The document that the line stands on.",
        target=INVOICE,
        relationship="Lines",
    ),
    _number("Line_Number__c", "Line Number", "line.number", "Place on the document, from 1.", 0),
    _choice(
        "Kind__c",
        "Kind",
        "line.kind",
        "What the line is.",
        ("Charge", "Correction", "Reversal", "One Time", "True Up"),
    ),
    _text("Product_Code__c", "Product Code", "line.product_code", "Code of the product in the price list."),
    _text("Description__c", "Description", "line.description", "What is charged."),
    _long_text("Explanation__c", "Explanation", "line.explanation", "How the amount comes about."),
    _number("Quantity__c", "Quantity", "line.quantity", "How much.", 6),
    _text("Unit__c", "Unit", "line.unit", "Of what.", 40),
    _number("Unit_Amount__c", "Unit Amount", "line.unit_amount", "Price of one unit, where there is one.", 8),
    _number("Amount__c", "Amount", "line.amount_minor", "Net amount; negative on a credit."),
    _text("Currency__c", "Currency", "invoice.currency", "Currency of the amounts.", 3),
    _number("Tax_Rate__c", "Tax Rate", "line.tax.rate_percent", "Rate of tax in percent."),
    _number("Tax__c", "Tax", "line.tax_minor", "The line's share of the tax."),
    _instant("Period_Start__c", "Period Start", "line.period.start", "First instant of what is charged."),
    _instant("Period_End__c", "Period End", "line.period.end", "First instant after it."),
    _text("Subscription_Item__c", "Subscription Item", "line.subscription_item", "Salesforce id of what was sold."),
    _text("Cost_Centre__c", "Cost Centre", "line.cost_centre", "Cost centre of the customer."),
)

WRITTEN_OBJECTS = (
    WrittenObject(
        name=ACCOUNT,
        label="Account",
        plural_label="Accounts",
        key_field="Id",
        is_ours=False,
        fields=ACCOUNT_FIELDS,
    ),
    WrittenObject(
        name=INVOICE,
        label="Fakturo Invoice",
        plural_label="Fakturo Invoices",
        key_field="Fakturo_Invoice_Id__c",
        is_ours=True,
        fields=INVOICE_FIELDS,
    ),
    WrittenObject(
        name=INVOICE_LINE,
        label="Fakturo Invoice Line",
        plural_label="Fakturo Invoice Lines",
        key_field="Fakturo_Line_Id__c",
        is_ours=True,
        fields=INVOICE_LINE_FIELDS,
    ),
)
"""All that we write, parents first."""

OBJECT_BY_NAME: Mapping[str, WrittenObject] = MappingProxyType({found.name: found for found in WRITTEN_OBJECTS})


def written_names(entity: str) -> frozenset[str]:
    """Return the names of the fields that we write on the Salesforce object `entity`; empty for any other object."""
    found = OBJECT_BY_NAME.get(entity)
    return frozenset(field.name for field in found.fields) if found else frozenset()
