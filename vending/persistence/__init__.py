"""SQLAlchemy plumbing over SQLite and PostgreSQL; knows no feature."""
