"""`fakturo explain`: from an invoice line to its price, its steps, its hours and the very events.

Flow      command (finds the line, prints) -> lines (what the book has of it) -> explaining (one explainer a kind of
          line: metered, licensed, commitments, discounts) -> steps (what adds up), usage (hours, events) -> answer.
"""
