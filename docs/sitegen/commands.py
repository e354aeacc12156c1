"""The command reference, generated from the Typer application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import typer.main

from lapse.cli.main import app

HEADER = """# Commands

Generated from the command line itself. `lapse COMMAND --help` prints the same text. Errors are one
sentence on standard error and exit code 2.
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its full name ("lapse train"), groups expanded."""
    yield from _walk("lapse", typer.main.get_command(app))


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for child, inner in command.commands.items():
        yield from _walk(f"{name} {child}", inner)


def options_of(command: Any) -> set[str]:
    """Every spelling of every option of a command."""
    spellings = {"--help", "-h"}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            spellings |= {*parameter.opts, *parameter.secondary_opts}
    return spellings


def commands_page() -> str:
    """The page as Markdown."""
    return "\n".join([HEADER, *(_section(name, command) for name, command in commands())])


def _section(name: str, command: Any) -> str:
    shown = [item for item in command.params if not item.hidden]
    arguments = [item for item in shown if item.param_type_name == "argument"]
    options = [item for item in shown if item.param_type_name == "option"]
    words = [name, *map(_usage, arguments), *(["[OPTIONS]"] if options else [])]
    parts = [f"## {name}", _paragraphs(command.help or ""), f"```text\n{' '.join(words)}\n```"]
    if arguments:
        parts.append(_table(["argument", "default", "description"], map(_argument, arguments)))
    panels = dict.fromkeys(item.rich_help_panel for item in options)
    for panel in panels:
        if len(panels) > 1:
            parts.append(f"**{panel or 'Other options'}**")
        rows = [_option(item) for item in options if item.rich_help_panel == panel]
        parts.append(_table(["option", "type", "default", "description"], rows))
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _usage(item: Any) -> str:
    name = _name(item) + ("..." if item.nargs == -1 else "")
    return name if item.required else f"[{name}]"


def _name(item: Any) -> str:
    return str(item.metavar or item.name).upper().rstrip(".").strip("[]")


def _argument(item: Any) -> list[str]:
    return [f"`{_name(item)}`", _default(item), item.help or ""]


def _option(item: Any) -> list[str]:
    spellings = ", ".join(f"`{name}`" for name in (*item.opts, *item.secondary_opts))
    return [spellings, _type(item), _default(item), item.help or ""]


def _type(item: Any) -> str:
    if item.is_flag:
        return "flag"
    annotation = item.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        text = ", ".join(f"`{choice}`" for choice in get_args(annotation))
    elif isinstance(annotation, type) and issubclass(annotation, Enum):
        text = ", ".join(f"`{choice.value}`" for choice in annotation)
    else:
        text = item.metavar or {"str": "text", "int": "integer", "float": "number"}.get(
            annotation.__name__, annotation.__name__.lower()
        )
    if item.min is not None:
        text += f", at least {item.min:g}"
    if item.max is not None:
        text += f", at most {item.max:g}"
    return f"{text}, repeatable" if item.multiple else text


def _default(item: Any) -> str:
    if item.required:
        return "required"
    if isinstance(item.show_default, str):
        return item.show_default
    default = item.default
    if default is None or default is False or default == "" or callable(default):
        return ""
    return f"`{default.value if isinstance(default, Enum) else default}`"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
