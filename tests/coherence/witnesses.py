WITNESSES: dict[str, int] = {}
