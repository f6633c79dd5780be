"""The engine decides: which usage counts, what it costs, what stands on the invoice, in the ledger, in a KPI.

It is pure: values in, values out. No clock, no I/O, no randomness, no float; instants and dates are parameters.

Order of the steps, and the file of each::

    catalog file ─▶ catalog     meters, products, price versions; all faults at once
    usage event ──▶ meters/     does it count, for how much; rollups that merge, aggregation of single events
    subscription ─▶ contracts   an item's slices of a period: one price, one set of terms each
    time ─────────▶ schedule    which period of an item is billed next
    slice, usage ─▶ rating      price(total) - price(billed), rounded once, with its sentence
                    └ prices/   one file a model; modifiers before and after it
    JSON line ────▶ rate_lines/ the same for a price and a usage that stand in one line: `fakturo rate`
    lines ────────▶ invoicing   sums, tax (tax), due date, ids that derive from content
    invoice, payment ▶ postings journal lines that sum to 0
    sums ─────────▶ kpi         revenue, lifetime value, DSO, payment delay

Underneath: money (exponents, the one rounding, shares), decimals (numbers of the price language), periods (local dates
to half-open UTC periods), explanations (phrases, said in three languages), errors.

Invariants: money is an exact Decimal until it is rounded once, half away from zero, at the invoice line, and integer
minor units after; a period is half-open; the same input gives the same output, ids included.
"""
