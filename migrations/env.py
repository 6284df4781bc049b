"""Alembic's entry: runs on the connection that `vending.persistence.migrate` hands over."""

from alembic import context

from vending.persistence.base import metadata

connection = context.config.attributes["connection"]
assert connection is not None, "run migrations by `vending db upgrade`"
# The metadata lends its naming convention; migrations spell their columns out.
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
