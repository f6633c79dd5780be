"""How alembic gets its connection: from `runtime.database.migrate`, inside its transaction and under its lock.

Place     `fakturo migrate` -> consumers/runtime/database.py -> alembic -> [this] -> versions/*.py.
"""

from alembic import context

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `fakturo migrate`: it takes the lock under which migrations run")
context.configure(connection=connection, target_metadata=None, transactional_ddl=True)
context.run_migrations()
