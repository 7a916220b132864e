"""The PostgreSQL store: logical shards on one or many servers, on psycopg 3."""
