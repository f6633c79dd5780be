"""What was sold and used, from the books, and what a billing period comes to: what `simulate` and `preview` share.

Flow      books (items, totals and raw events, as Postgres has them) -> periods (a billing period at given prices, with
          the stretches to be totalled) -> usage (totals or events as the price language takes them) -> the engine.
"""
