"""What must be the same to the byte after a storm and after a calm run: these tables, column by column.

Place     tables/ says it, a module an agent -> [this] -> books.py writes and compares them. A table, or a column of
          these tables, that is named neither as compared nor as left out fails the test (and test_compared.py, without
          a storm), so none escapes by being new.
Left out  append times (when a record reached the broker or a row the database: another instant in each run), the order
          of invoice numbers (which of two accounts gets the lower one is settled by who commits first; that the numbers
          are without a gap and each once is checked apart), and what is nothing but one of these in another form.
Not here  `contracts` and `runtime` are the input and the machinery as a whole; `crm_feed` has no tables, what it
          published is compared with what it read (foreign.py).
"""

from tests.storm.tables import crm_sync, invoicing, kpi, ledger, usage
from tests.storm.tables.table import Table

_AGENTS = (usage, invoicing, ledger, kpi, crm_sync)

COMPARED: tuple[Table, ...] = tuple(table for agent in _AGENTS for table in agent.COMPARED)

NOT_COMPARED: dict[str, str] = {table: why for agent in _AGENTS for table, why in agent.NOT_COMPARED.items()}
"""Table -> why it is not compared."""
