"""How English says each phrase. The rules of a row are in phrasebook.py."""

from collections.abc import Mapping
from types import MappingProxyType

SEPARATOR = ", "
WORDS: Mapping[str, str] = MappingProxyType({})
ROWS: Mapping[str, str | tuple[str, str]] = MappingProxyType(
    {
        # The sentence of a line: quantity, unit, parts.
        "usage": "{0:n} {1:w}: {2:p}",
        "nothing": "nothing to pay",
        "trial": "trial period, nothing to pay",
        "all": "{0:p}",
        "billed": ("less {0:m} already billed", "already billed"),
        "reversal": "takes back {0:m} already billed",
        "credited": "but for {0:m} credited before",
        # Models.
        "flat": "{0:m} flat",
        "units": ("{0:n} at {1:m}", "{0:n} {unit} at {1:m}"),
        "units_flat": ("{0:n} at {1:m} + {2:m}", "{0:n} {unit} at {1:m} + {2:m}"),
        "package": ("{0:n} package of {1:n} at {2:m}", "{0:n} package of {1:n} {unit} at {2:m}"),
        "packages": ("{0:n} packages of {1:n} at {2:m}", "{0:n} packages of {1:n} {unit} at {2:m}"),
        "cell": "{0:t} {1:p}",
        "cell_other": "other {0:p}",
        "percent": "{0:n} % of {1:m}",
        "percent_flat": "{0:n} % of {1:m} + {2:m}",
        "event_fee": "{0:n} event at {1:m}",
        "event_fees": "{0:n} events at {1:m}",
        "event_minimum": "raised to at least {0:m} an event",
        "event_maximum": "cut to at most {0:m} an event",
        "own_amounts": "{0:m} of the events' own amounts",
        "own_amounts_times": "{0:m} of the events' own amounts × {1:n}",
        "capacity": "{0:m} for {1:p}",
        "capacity_none": "{0:m} for no capacity used",
        "peak": "{0:t} {1:n}",
        "events": "{0:n} events, each by itself",
        "at_least_nothing": "not below 0",
        # Before the model.
        "divided": "{0:n} after division by {1:n}",
        "free": "{0:n} free",
        "free_event": "{0:n} event free",
        "free_events": "{0:n} events free",
        "incremented": "{0:n} after rounding up each event",
        "group": ("of which {0:t} {1:n}", "of which {0:t} {1:n} {unit}"),
        # After the model.
        "days": "{0:n} of {1:n} days",
        "seconds": "{0:n} of {1:n} seconds",
        "less_percent": "less {0:n} %",
        "less_amount": "less {0:m}",
        "cap": "capped at {0:m}",
        "minimum": "raised to the minimum of {0:m}",
        # What tax law wants said.
        "tax_reverse_charge": "Reverse charge, Article 196 of Directive 2006/112/EC",
        "tax_intra_community": "Exempt intra-Community supply, Article 138 of Directive 2006/112/EC",
        "tax_export": "Service to a customer abroad, not subject to the seller's tax",
        "tax_export_goods": "Export of goods, exempt",
        "tax_exempt": "Exempt from tax",
        "tax_exempt_customer": "The customer is exempt from tax",
        "tax_out_of_scope": "Not subject to tax",
        "tax_rate_unknown": "No tax rate is known for {0:t}; no tax was charged",
        "tax_vat_id_invalid": "VAT id {0:t} is not valid; taxed as a consumer",
        "true_up": "committed to {0:m}, billed {1:m} in the term",
        # What a discount, and the line of a commitment, are called.
        "spend_cap": "Spend cap of {0:m} {1:t}",
        "promotional_credit": "Promotional credit",
        "point_redeemed": "{0:n} point of {1:t}",
        "points_redeemed": "{0:n} points of {1:t}",
        "minimum_commitment": "Minimum commitment",
    }
)
