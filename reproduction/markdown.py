"""Tables in Markdown."""


def table(rows: list[tuple]) -> str:
    """The rows of a Markdown table, without its head."""
    lines = (" | ".join(str(cell).replace("|", r"\|") for cell in row) for row in rows)
    return "".join(f"| {line} |\n" for line in lines)
