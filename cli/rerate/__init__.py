"""`fakturo rerate`: an account's month computed again from its raw events, compared with the book, mended on request.

Flow      command -> wanted (what was stated of the month) -> again (totals and statements from the events) -> comparing
          -> differences; with `--apply` -> one event on billing.usage, which the usage agent works off.
"""
