"""The command reference, generated from the Typer application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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
    names = {"--help"}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            names |= {*parameter.opts, *parameter.secondary_opts}
    return names


def commands_page() -> str:
    """The page as Markdown."""
    return "\n".join([HEADER, *(_section(name, command) for name, command in commands())])


def _section(name: str, command: Any) -> str:
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [
        item
        for item in command.params
        if item.param_type_name == "option" and not getattr(item, "hidden", False)
    ]
    usage = " ".join([name, *(_usage(item) for item in arguments), "[OPTIONS]" if options else ""])
    parts = [f"## {name}", _paragraphs(command.help or ""), f"```text\n{usage.strip()}\n```"]
    if arguments:
        parts.append(_table(["argument", "default", "description"], map(_argument, arguments)))
    if options:
        parts.append(_table(["option", "type", "default", "description"], map(_option, options)))
    return "\n\n".join(parts) + "\n"


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).replace("\f", "")


def _usage(item: Any) -> str:
    name = _argument_name(item)
    name = f"{name}..." if item.nargs == -1 else name
    return name if item.required else f"[{name}]"


def _argument_name(item: Any) -> str:
    return str(item.metavar or item.name).upper().rstrip(".").strip("[]")


def _argument(item: Any) -> list[str]:
    default = "required" if item.required else _default(item)
    return [f"`{_argument_name(item)}`", default, item.help or ""]


def _option(item: Any) -> list[str]:
    names = ", ".join(f"`{name}`" for name in (*item.opts, *item.secondary_opts))
    default = "required" if item.required else _default(item)
    return [names, _type(item), default, item.help or ""]


def _type(item: Any) -> str:
    if item.is_flag:
        return "flag"
    if choices := getattr(item.type, "choices", None):
        text = ", ".join(f"`{getattr(choice, 'value', choice)}`" for choice in choices)
    else:
        text = {"integer range": "integer", "float range": "number", "float": "number"}.get(
            item.type.name, item.type.name
        )
        low, high = getattr(item.type, "min", None), getattr(item.type, "max", None)
        if low is not None:
            text += f", at least {low:g}"
        if high is not None:
            text += f", at most {high:g}"
    return f"{text}, repeatable" if item.multiple else text


def _default(item: Any) -> str:
    default = item.default() if callable(item.default) else item.default
    if default is None or default in ("", (), []) or item.is_flag and default is False:
        return ""
    return f"`{getattr(default, 'value', default)}`"


def _table(head: list[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
