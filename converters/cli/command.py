"""Commands whose declarations are separate from their work, so that help and completion import only click.

A command imports the module that does its work when it runs. Its options are created on first use, since some of them
come from the dialects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from skelstore.wording import closest

if TYPE_CHECKING:
    Choice = click.Choice[str]
else:
    Choice = click.Choice  # which takes no parameter before click 8.2

Sections: TypeAlias = dict[str, Sequence[click.Option]]
"""Heading -> the options that the help lists below it."""

_FIRST_COLUMN = 30
"""Width in columns up to which an option, with its value, has its help on the same line."""


class LoadError(Exception):
    """A module that a command needs cannot be imported; ``__cause__`` says why."""


@contextmanager
def loading() -> Iterator[None]:
    """Raise LoadError for any error of the imports in the block, such as MemoryError, OSError, SystemError from C."""
    try:
        yield
    except Exception as error:
        raise LoadError from error


class Command(click.Command):
    """A command. The function ``<name>_command`` in a module of ``converters.cli`` does its work."""

    def __init__(
        self,
        name: str,
        module: str,
        help: str,
        arguments: Sequence[click.Argument],
        options: Callable[[], Sections],
        examples: Sequence[str],
        **settings: Any,
    ) -> None:
        super().__init__(name, params=list(arguments), help=help, **settings)
        self._module = module
        self._options = options
        self.examples = examples

    @cached_property
    def sections(self) -> Sections:
        """The options of the command, per heading of the help."""
        with loading():
            return self._options()

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*chain.from_iterable(self.sections.values()), *super().get_params(ctx)]

    def invoke(self, ctx: click.Context) -> Any:
        with loading():
            # First: if pyarrow does not support this NumPy, the error of this module says what to install.
            import_module("skelstore.packages")
            module = import_module(f"converters.cli.{self._module}")
        return ctx.invoke(getattr(module, f"{self.name}_command"), **ctx.params)

    def get_short_help_str(self, limit: int = 0) -> str:
        """The summary, not shortened: the first paragraph of the help, which is one line."""
        return (self.help or "").partition("\n\n")[0].strip()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        own_help = self.get_help_option(ctx)
        sections = self.sections if own_help is None else {**self.sections, "Help": [own_help]}
        records = {
            heading: [record for option in options if (record := option.get_help_record(ctx))]
            for heading, options in sections.items()
        }
        names = [len(name) for rows in records.values() for name, _ in rows]
        width = max((length for length in names if length <= _FIRST_COLUMN), default=0)
        for heading, rows in records.items():
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows], col_max=width)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Words(Choice):
    """One of several words; a word that is not among them is answered with the closest."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(error.message.removesuffix(".") + (closest(value, self.choices) or "."), param, ctx)


class CommandGroup(click.Group):
    """The commands, in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.commands and not name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"No such command {name!r}{closest(name, self.commands) or '.'}")
        return super().resolve_command(ctx, args)
