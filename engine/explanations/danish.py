"""How Danish says each phrase. Numbers have a decimal comma, so parts are set apart by semicolons."""

from collections.abc import Mapping
from types import MappingProxyType

SEPARATOR = "; "
WORDS: Mapping[str, str] = MappingProxyType({"units": "enheder"})
ROWS: Mapping[str, str | tuple[str, str]] = MappingProxyType(
    {
        "usage": "{0:n} {1:w}: {2:p}",
        "nothing": "intet at betale",
        "trial": "prøveperiode, intet at betale",
        "all": "{0:p}",
        "billed": ("fratrukket {0:m}, som allerede er faktureret", "allerede faktureret"),
        "reversal": "tilbagefører {0:m}, der er faktureret",
        "flat": "{0:m} fast",
        "units": ("{0:n} à {1:m}", "{0:n} {unit} à {1:m}"),
        "units_flat": ("{0:n} à {1:m} + {2:m}", "{0:n} {unit} à {1:m} + {2:m}"),
        "package": ("{0:n} pakke med {1:n} à {2:m}", "{0:n} pakke med {1:n} {unit} à {2:m}"),
        "packages": ("{0:n} pakker med {1:n} à {2:m}", "{0:n} pakker med {1:n} {unit} à {2:m}"),
        "cell": "{0:t} {1:p}",
        "cell_other": "andre {0:p}",
        "percent": "{0:n} % af {1:m}",
        "percent_flat": "{0:n} % af {1:m} + {2:m}",
        "event_fee": "{0:n} hændelse à {1:m}",
        "event_fees": "{0:n} hændelser à {1:m}",
        "event_minimum": "forhøjet til mindst {0:m} pr. hændelse",
        "event_maximum": "begrænset til højst {0:m} pr. hændelse",
        "own_amounts": "{0:m} i hændelsernes egne beløb",
        "own_amounts_times": "{0:m} i hændelsernes egne beløb × {1:n}",
        "capacity": "{0:m} for {1:p}",
        "capacity_none": "{0:m} uden brugt kapacitet",
        "peak": "{0:t} {1:n}",
        "events": "{0:n} hændelser, hver for sig",
        "at_least_nothing": "ikke under 0",
        "divided": "{0:n} efter division med {1:n}",
        "free": "{0:n} gratis",
        "free_event": "{0:n} hændelse gratis",
        "free_events": "{0:n} hændelser gratis",
        "incremented": "{0:n} efter oprunding af hver hændelse",
        "group": ("heraf {0:t} {1:n}", "heraf {0:t} {1:n} {unit}"),
        "days": "{0:n} af {1:n} dage",
        "seconds": "{0:n} af {1:n} sekunder",
        "less_percent": "fratrukket {0:n} %",
        "less_amount": "fratrukket {0:m}",
        "cap": "begrænset til {0:m}",
        "minimum": "forhøjet til minimum {0:m}",
        "tax_reverse_charge": "Omvendt betalingspligt, artikel 196 i direktiv 2006/112/EF",
        "tax_intra_community": "Momsfri EU-leverance, artikel 138 i direktiv 2006/112/EF",
        "tax_export": "Ydelse til en kunde i udlandet, ikke underlagt sælgers moms",
        "tax_export_goods": "Eksport af varer, momsfri",
        "tax_exempt": "Fritaget for moms",
        "tax_exempt_customer": "Kunden er fritaget for moms",
        "tax_out_of_scope": "Ikke momspligtig",
        "tax_rate_unknown": "Ingen momssats kendes for {0:t}; der er ikke beregnet moms",
        "tax_vat_id_invalid": "Momsnummer {0:t} er ikke gyldigt; beskattet som forbruger",
        "true_up": "minimum {0:m} aftalt, {1:m} faktureret i perioden",
    }
)
