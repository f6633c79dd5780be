"""What is compared of invoicing's books: invoices, credit notes, requests, credit and coupons.

Place     table -> [this] -> compared.py.
"""

from tests.storm.tables.table import APPENDED, INPUT, NOTHING_HERE, NUMBERED, ON_THE_WAY, Table

_INVOICES = (
    Table(
        name="invoicing.invoice",
        columns=(
            "account",
            "period_start_at",
            "revision",
            "invoice_id",
            "currency",
            "period_end_at",
            "issue_on",
            "due_on",
            "subtotal_minor",
            "tax_minor",
            "total_minor",
            "content",
            "seller_code",
            "cost_centre",
            "kind",
            "status",
            "due_minor",
            "moved_minor",
            "written_off_minor",
            "credited_minor",
            "settled_count",
            "written_off_count",
            "voided_on",
            "requested",
        ),
        without={"content": ("number",)},
        left_out={"number": NUMBERED, "recorded_at": APPENDED},
    ),
    Table(
        name="invoicing.invoice_line",
        columns=(
            "invoice_id",
            "line_no",
            "line_id",
            "subscription_item",
            "product_code",
            "description",
            "explanation",
            "quantity",
            "unit",
            "unit_amount",
            "amount_exact",
            "amount_minor",
            "period_start_at",
            "period_end_at",
            "tax_category",
            "tax_rate_percent",
            "price_hash",
            "item_period_start_at",
            "item_period_end_at",
            "sequence",
            "kind",
            "counts",
            "rated_minor",
            "corrects",
            "corrects_invoice",
            "used_by",
            "cost_centre",
            "tax_country",
            "prices_include_tax",
            "credited_minor",
            "discount_shares",
            "credited_shares",
            "tax_minor",
        ),
    ),
    Table(name="invoicing.series", columns=("seller_code", "series", "last_number")),
    Table(
        name="invoicing.tax_position",
        columns=("invoice_id", "category", "rate_percent", "country", "taxable_minor", "tax_minor"),
    ),
    Table(name="invoicing.billed_period", columns=("subscription_item", "period_start_at", "period_end_at")),
    Table(name="invoicing.request", columns=("source", "id", "payload_sha256")),
    Table(
        name="invoicing.subscription",
        columns=("subscription_id", "account_id", "currency", "seller_code", "content"),
        left_out={"recorded_at": APPENDED},
    ),
)

_CREDIT = (
    Table(name="invoicing.coupon_budget", columns=("code", "currency", "budget_minor", "spent_minor")),
    Table(
        name="invoicing.coupon_holder",
        columns=(
            "holder_id",
            "account_id",
            "subscription_id",
            "code",
            "content",
            "uses_max",
            "used_count",
            "known_watermark_at",
            "payload_sha256",
        ),
    ),
    Table(name="invoicing.coupon_use", columns=("invoice_id", "holder_id", "code", "amount_minor")),
    Table(
        name="invoicing.credit_grant",
        columns=(
            "grant_id",
            "account_id",
            "currency",
            "kind",
            "description",
            "priority",
            "expires_on",
            "amount_minor",
            "used_minor",
            "expired_minor",
            "known_watermark_at",
            "payload_sha256",
        ),
    ),
    Table(name="invoicing.credit_use", columns=("invoice_id", "grant_id", "amount_minor")),
    Table(
        name="invoicing.credit_alert",
        columns=("account_id", "currency", "threshold_minor", "is_low", "fall_count"),
    ),
    Table(name="invoicing.released_invoice", columns=("invoice_id",)),
)

COMPARED: tuple[Table, ...] = (*_INVOICES, *_CREDIT)

NOT_COMPARED: dict[str, str] = {
    **dict.fromkeys(
        (
            "invoicing.correction",
            "invoicing.draft",
            "invoicing.draft_item",
            "invoicing.dropped_draft",
            "invoicing.news",
            "invoicing.running_statement",
            "invoicing.subscription_item",
        ),
        ON_THE_WAY,
    ),
    **dict.fromkeys(
        (
            "invoicing.account",
            "invoicing.final_statement",
        ),
        INPUT,
    ),
    **dict.fromkeys(
        (
            "invoicing.cap_use",
            "invoicing.commitment_term",
            "invoicing.point_balance",
            "invoicing.point_claim",
            "invoicing.point_lot",
            "invoicing.point_redemption",
            "invoicing.point_use",
        ),
        NOTHING_HERE,
    ),
}
