"""`fakturo simulate`: what customers would have paid under another price list, from the history in the books.

Flow      cli/history (items and totals, one snapshot of Postgres) -> repricing (each item's periods twice: at its own
          prices and at the new list's) -> result (by customer and in total) -> a table, JSON, and a chart (chart).
Shows     net amounts of charges, before coupons, credit and tax, of the billing periods that begin in the range.
"""
