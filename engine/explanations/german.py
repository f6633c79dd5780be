"""How German says each phrase. Numbers have a decimal comma, so parts are set apart by semicolons."""

from collections.abc import Mapping
from types import MappingProxyType

SEPARATOR = "; "
WORDS: Mapping[str, str] = MappingProxyType({"units": "Einheiten"})
ROWS: Mapping[str, str | tuple[str, str]] = MappingProxyType(
    {
        "usage": "{0:n} {1:w}: {2:p}",
        "nothing": "nichts zu zahlen",
        "trial": "Probezeit, nichts zu zahlen",
        "all": "{0:p}",
        "billed": ("abzüglich bereits berechneter {0:m}", "bereits berechnet"),
        "reversal": "nimmt bereits berechnete {0:m} zurück",
        "flat": "{0:m} pauschal",
        "units": ("{0:n} zu je {1:m}", "{0:n} {unit} zu je {1:m}"),
        "units_flat": ("{0:n} zu je {1:m} + {2:m}", "{0:n} {unit} zu je {1:m} + {2:m}"),
        "package": ("{0:n} Paket von {1:n} zu {2:m}", "{0:n} Paket von {1:n} {unit} zu {2:m}"),
        "packages": ("{0:n} Pakete von {1:n} zu je {2:m}", "{0:n} Pakete von {1:n} {unit} zu je {2:m}"),
        "cell": "{0:t} {1:p}",
        "cell_other": "Übrige {0:p}",
        "percent": "{0:n} % von {1:m}",
        "percent_flat": "{0:n} % von {1:m} + {2:m}",
        "event_fee": "{0:n} Vorgang zu {1:m}",
        "event_fees": "{0:n} Vorgänge zu je {1:m}",
        "event_minimum": "auf mindestens {0:m} je Vorgang angehoben",
        "event_maximum": "auf höchstens {0:m} je Vorgang begrenzt",
        "own_amounts": "{0:m} aus eigenen Beträgen der Vorgänge",
        "own_amounts_times": "{0:m} aus eigenen Beträgen der Vorgänge × {1:n}",
        "capacity": "{0:m} für {1:p}",
        "capacity_none": "{0:m} ohne genutzte Kapazität",
        "peak": "{0:t} {1:n}",
        "events": "{0:n} Vorgänge, jeder für sich",
        "at_least_nothing": "nicht unter 0",
        "divided": "{0:n} nach Teilung durch {1:n}",
        "free": "{0:n} frei",
        "free_event": "{0:n} Vorgang frei",
        "free_events": "{0:n} Vorgänge frei",
        "incremented": "{0:n} nach Aufrundung jedes Vorgangs",
        "group": ("davon {0:t} {1:n}", "davon {0:t} {1:n} {unit}"),
        "days": "{0:n} von {1:n} Tagen",
        "seconds": "{0:n} von {1:n} Sekunden",
        "less_percent": "abzüglich {0:n} %",
        "less_amount": "abzüglich {0:m}",
        "cap": "begrenzt auf {0:m}",
        "minimum": "angehoben auf den Mindestbetrag von {0:m}",
        "tax_reverse_charge": "Steuerschuldnerschaft des Leistungsempfängers, Artikel 196 der Richtlinie 2006/112/EG",
        "tax_intra_community": "Steuerfreie innergemeinschaftliche Lieferung, Artikel 138 der Richtlinie 2006/112/EG",
        "tax_export": "Leistung an einen Kunden im Ausland, im Inland nicht steuerbar",
        "tax_export_goods": "Steuerfreie Ausfuhrlieferung",
        "tax_exempt": "Steuerfrei",
        "tax_exempt_customer": "Der Kunde ist von der Steuer befreit",
        "tax_out_of_scope": "Nicht steuerbar",
        "tax_rate_unknown": "Für {0:t} ist kein Steuersatz bekannt; es wurde keine Steuer berechnet",
        "tax_vat_id_invalid": "USt-IdNr. {0:t} ist ungültig; besteuert wie ein Verbraucher",
        "true_up": "{0:m} zugesagt, {1:m} in der Laufzeit berechnet",
    }
)
