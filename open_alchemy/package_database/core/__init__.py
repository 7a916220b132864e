"""Operations, the generator runner, deadline, backoff and secrets: no I/O, no store."""
