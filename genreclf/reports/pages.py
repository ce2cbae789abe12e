"""What HTML pages have in common: templates that escape all text, and content security policies."""

import base64
import hashlib

from jinja2 import Environment, PackageLoader, StrictUndefined

from genreclf.errors import one_line, shortened


def environment() -> Environment:
    """Return the environment of the templates, which escape text and clean it of controls."""
    templates = Environment(
        loader=PackageLoader("genreclf.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_clean,
    )
    templates.filters["percent"] = lambda share: f"{share:.1%}"
    templates.filters["whole"] = lambda share: f"{share:.0%}"
    templates.filters["points"] = lambda share: f"{100 * share:+.1f}"
    templates.filters["short"] = shortened
    return templates


def csp_hash(text: str) -> str:
    """Return the source of a policy that allows one inline style sheet or script."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _clean(value: object) -> object:
    """Replace unprintable characters in all text of a table, but not in the template's own."""
    return value if hasattr(value, "__html__") or not isinstance(value, str) else one_line(value)
