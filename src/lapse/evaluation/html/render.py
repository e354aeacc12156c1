"""Jinja templates -> HTML reports: one file each, without network access.

    view data --templates/*.html.jinja--> text, with static/*.css and *.js inlined

All values are escaped. A name that a template does not receive is an error.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lapse.evaluation.html.elements import jpeg_uri, outlines, png_uri


def render(template: str, **values: object) -> str:
    """Fill in `templates/<template>.html.jinja`."""
    return _environment().get_template(f"{template}.html.jinja").render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lapse.evaluation.html"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["is_simulated"] = False
    environment.globals["static"] = _static
    environment.filters |= {"png_uri": png_uri, "jpeg_uri": jpeg_uri, "outlines": outlines}
    return environment


def _static(name: str) -> Markup:
    """A style sheet or a script of the package, which needs no escaping."""
    return Markup((files(__package__) / "static" / name).read_text(encoding="utf-8"))
