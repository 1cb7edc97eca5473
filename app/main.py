"""The `gradewatch` command. Each of its commands is imported when it is asked for."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click

from app.cli import INTERRUPTED, HelpfulGroup, Sentence, config_file_option, version
from app.errors import GradewatchError

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "demo": "Show it all on this machine within a minute: broker, events, worker, alerts.",
        "worker": "Read Canvas events, keep the score tables, send alerts.",
        "topics": "Create or check the topics.",
        "generate": "Write a synthetic Canvas semester to a topic or a file.",
        "backtest": "Tell which alerts rules would have sent about recorded events.",
        "alerts": "Follow the alerts.",
        "scores": "Look at what is known about a student.",
        "dead-letters": "Look at messages that could not be read, and replay them.",
        "rules": "Check a rules file, or show which rules apply where.",
        "schema": "Export the schemas of all messages.",
        "config": "Show or check the settings.",
    }
)
"""Every command and its line of help; `app.commands.<name>`, a dash as an underscore, has it as `command`."""


NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class LazyGroup(HelpfulGroup):
    """A group whose help needs no command to be imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands in the order in which one would use them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command and let it take `--config` as well."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"app.commands.{cmd_name.replace('-', '_')}").command
        _take_config(command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands from what is known without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what a person can mend ends with a sentence and the right exit code."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where it can still be said that there is no room
        except GradewatchError as error:
            raise Sentence(error) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            # What is left in the buffer has nowhere to go; Python would try once more at its end.
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise Sentence(GradewatchError(f"The output could not be written: {error.strerror}.")) from error
        return result


def _take_config(command: click.Command) -> None:
    if any("--config" in parameter.opts for parameter in command.params):
        return
    command.params.append(config_file_option())
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _take_config(subcommand)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        click.echo(f"gradewatch {version()}")
        context.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong use (a mistake in the settings included), 130 interrupted.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Tell other services when a grade in Canvas needs a person.

    Settings come from GRADEWATCH_… in the environment or from a file; `gradewatch config show` lists them.
    """


main.params.insert(0, config_file_option())

if __name__ == "__main__":
    main()
