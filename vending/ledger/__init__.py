"""The double-entry journal: accounts, entries, balances; append-only."""
