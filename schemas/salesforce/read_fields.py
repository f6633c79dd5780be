"""The fields of ours that people fill in Salesforce and that we read: how an account, an order or an item is billed.

Place     the mapping profiles (consumers/contracts/profiles) name them; `fakturo salesforce setup` deploys them; an org
          that says these things elsewhere names its own fields in a profile of its own and needs none of these.
Source    CONTRACTS.md, the table of Salesforce fields; docs/subscriptions.md says what each does.
"""

from collections.abc import Mapping
from types import MappingProxyType

from fakturo.schemas.salesforce.written_fields import WrittenField as OrgField


def _field(name: str, label: str, kind: str, help_text: str, **given: object) -> OrgField:
    return OrgField(name=name, label=label, kind=kind, source="", help=help_text, **given)  # type: ignore[arg-type]


def _text(name: str, label: str, help_text: str, length: int = 80) -> OrgField:
    return _field(name, label, "Text", help_text, length=length)


def _flag(name: str, label: str, help_text: str) -> OrgField:
    return _field(name, label, "Checkbox", help_text)


def _date(name: str, label: str, help_text: str) -> OrgField:
    return _field(name, label, "Date", help_text)


def _whole(name: str, label: str, help_text: str) -> OrgField:
    return _field(name, label, "Number", help_text, precision=4, scale=0)


def _amount(name: str, label: str, help_text: str) -> OrgField:
    return _field(name, label, "Number", help_text, precision=18, scale=2)


def _choice(name: str, label: str, help_text: str, *values: str) -> OrgField:
    return _field(name, label, "Picklist", help_text, values=values)


_COST_CENTRE = _text("Fakturo_Cost_Centre__c", "Cost Centre", "Invoices can be split by it.")

READ_FIELDS: Mapping[str, tuple[OrgField, ...]] = MappingProxyType(
    {
        "account": (
            _text("Fakturo_Timezone__c", "Billing Time Zone", "IANA name, Europe/Copenhagen; empty: the seller's.", 64),
            _whole("Fakturo_Terms_Days__c", "Payment Terms in Days", "Days until an invoice is due; empty: 30."),
            _text("Fakturo_Vat_Id__c", "VAT Id", "With the country's letters: DK12345678.", 32),
            _text("Fakturo_Locale__c", "Invoice Language", "en, da, de, or with a country: de-CH.", 10),
            _flag("Fakturo_Consolidated_Billing__c", "Parent Pays", "The parent account gets the invoices."),
            _flag("Fakturo_Split_By_Cost_Centre__c", "Split by Cost Centre", "One invoice for each cost centre."),
            _flag("Fakturo_Tax_Exempt__c", "Tax Exempt", "No tax is charged."),
        ),
        "subscription": (
            _text("Fakturo_Seller__c", "Seller", "Code of the seller in the price list; empty: the only one."),
            _text("Fakturo_Coupons__c", "Coupons", "Codes, separated by semicolons.", 255),
            _text("Fakturo_Loyalty__c", "Loyalty Programme", "Code of the programme."),
            _amount("Fakturo_Commitment_Amount__c", "Commitment", "Net amount that is billed at least in the term."),
            _whole("Fakturo_Commitment_Months__c", "Commitment Months", "Length of the term of the commitment."),
            _amount("Fakturo_Spend_Cap__c", "Spend Cap", "A billing period never costs more, net."),
            _amount(
                "Fakturo_Billing_Threshold__c", "Billing Threshold", "Unbilled usage of so much is billed at once."
            ),
            _flag("Fakturo_Auto_Renew__c", "Renews Itself", "Goes on for another term at the end of each."),
            _whole("Fakturo_Term_Months__c", "Term in Months", "Length of a term."),
            _date("Fakturo_Paused_From__c", "Paused From", "First day that is not billed."),
            _date("Fakturo_Paused_Until__c", "Paused Until", "Last day that is not billed."),
            _date("Fakturo_Cancel_On__c", "Cancelled On", "With Cancelled At: the first day without service."),
            _choice(
                "Fakturo_Cancel_At__c",
                "Cancelled At",
                "When the cancellation takes effect.",
                *("now", "period_end", "term_end"),
            ),
            _COST_CENTRE,
            _flag("Fakturo_Approval_Required__c", "Approve Invoices", "Invoices wait for an approval."),
        ),
        "item": (
            _field(
                *("Fakturo_Discount_Percent__c", "Discount", "Percent", "Off this item's price."),
                precision=5,
                scale=2,
            ),
            _whole("Fakturo_Billing_Months__c", "Billing Months", "Length of the billing period; 0: once."),
            _choice("Fakturo_Billing__c", "Billing", "Before or after the period.", "arrears", "advance"),
            _text(
                "Fakturo_Anchor__c",
                "Billing Anchor",
                "calendar, service_start, subscription_start, or a date YYYY-MM-DD.",
                40,
            ),
            _date("Fakturo_Trial_End__c", "Trial End", "Last day that is free."),
            _choice("Fakturo_Price_Change__c", "Price Change", "When new prices hold.", "immediate", "next_period"),
            _COST_CENTRE,
            _text(
                "Fakturo_Alert_Quantities__c",
                "Alert at Quantities",
                "1000; 5000. Or none. Empty: the price list's.",
                255,
            ),
            _text(
                "Fakturo_Alert_Amounts__c", "Alert at Amounts", "Net: 500; 1000. Or none. Empty: the price list's.", 255
            ),
            _date("Fakturo_Effective_On__c", "Effective On", "From when what is saved with it holds."),
        ),
        "product": (
            _text("Fakturo_Tax_Category__c", "Tax Category", "Of a product that is not in the price list: S, Z, E."),
        ),
    }
)
"""By what a record is to us: the mapping profile says which object that is (an order, a contract, an asset). Kinds are
the Metadata API's, as in written_fields, and Checkbox and Percent beside them.
"""
