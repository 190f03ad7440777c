"""The event store, documents, jobs and migrations, and the Postgres server of the embedded profile."""
