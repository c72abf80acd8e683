"""The SQL of the schema, for who runs it. It can be imported without psycopg."""

from importlib.resources import files


def script(role: str | None = None) -> str:
    """Return the SQL that makes the schema, and gives a role what an application needs of it."""
    parts = sorted((files(__package__) / "sql").iterdir(), key=lambda part: part.name)
    text = "\n".join(part.read_text() for part in parts)
    return text if role is None else text + grants(role)


def grants(role: str) -> str:
    """Return the SQL that gives a role what an application needs."""
    name = '"' + role.replace('"', '""') + '"'
    return f"""
GRANT USAGE ON SCHEMA asgi_push TO {name};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA asgi_push TO {name};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA asgi_push TO {name};
"""
