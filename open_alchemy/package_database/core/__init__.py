"""Operations, the generator runner, deadlines, backoff and secrets: no I/O, no clock, no store."""
