"""Alembic's entry: runs on the connection that `vending.persistence.migrate` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
assert connection is not None, "run migrations by `vending db upgrade`"
context.configure(connection=connection, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
