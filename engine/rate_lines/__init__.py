"""Rate lines: a price and a usage as one JSON object, and the amount as another. What `fakturo rate` reads and writes.

Entry     `RateLines.answer` takes the bytes of a line and gives the bytes of its answer; `RateLines.request` stops
          before the amount is computed, `answer_of` begins after it.
Flow      line (bytes, price cache) -> request (fields to a RateRequest; events and meter in events.py, periods in
          times.py) -> rating -> answer (texts in the language asked for).
Source    PRICING.md, `fakturo rate`.
"""

from fakturo.engine.rate_lines.answer import Answer, answer_of
from fakturo.engine.rate_lines.line import LINE_BYTES_MAX, Answered, RateLines

__all__ = ["LINE_BYTES_MAX", "Answer", "Answered", "RateLines", "answer_of"]
