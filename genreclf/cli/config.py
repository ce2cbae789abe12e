"""``genreclf config``: create, show and check configurations."""

from pathlib import Path

import click

from genreclf.cli import options
from genreclf.cli.output import NOTHING_DONE, print_error, say, verbosity_options, write_text
from genreclf.cli.streams import write_document
from genreclf.errors import ConfigError, one_line

_INTRODUCTION = """\
# A configuration for genreclf. Change it, and use it with --config {file}
# Values that are left out have their defaults: `genreclf config show` prints all of them.

"""


@click.group()
def config() -> None:
    """Create, show and check configurations.

    \b
    Examples:
      genreclf config list
      genreclf config init my.toml
      genreclf config show wide --set classifier.C=3
      genreclf config validate my.toml
    """


@config.command()
@click.argument("file", type=options.OUTPUT_FILE, default=Path("genreclf.toml"), metavar="[FILE]")
@click.option(
    "--preset", metavar="NAME", default="default", show_default=True,
    shell_complete=options.complete_config, help="Preset to start from (see genreclf config list).",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@verbosity_options
def init(file: Path, preset: str, force: bool) -> None:
    """Write a configuration file to edit, with a comment on each value.

    The default FILE is genreclf.toml.

    \b
    Examples:
      genreclf config init
      genreclf config init my.toml --preset wide
    """
    from genreclf.config.load import preset_text

    text = _INTRODUCTION.format(file=one_line(file)) + preset_text(preset)
    if file.exists() and not force:
        raise ConfigError(f"{file}: already exists; --force overwrites it")
    write_text(file, text, "configuration")


@config.command()
@click.argument(
    "source",
    metavar="[NAME|FILE]",
    default="default",
    shell_complete=options.complete_config,
)
@options.overrides
def show(source: str, overrides: tuple[str, ...]) -> None:
    """Print all values of a preset or a file, as TOML.

    \b
    Examples:
      genreclf config show
      genreclf config show my.toml --set excerpt.seconds=10 > other.toml
    """
    import tomli_w

    from genreclf.config.load import load_config

    write_document(tomli_w.dumps(load_config(source, overrides).to_dict()))


@config.command("list")
def list_presets() -> None:
    """List the presets, whose names --config takes, and what each needs.

    \b
    Example:
      genreclf config list
    """
    from genreclf.config.load import preset_names, preset_summary

    names = preset_names()
    width = max(map(len, names))
    for name in names:
        say(f"{name:<{width}}  {preset_summary(name)}")


@config.command()
@click.argument("files", nargs=-1, required=True, type=options.FILE, metavar="FILE...")
def validate(files: tuple[Path, ...]) -> None:
    """Check that FILEs are valid configurations.

    The exit status is 1 if one of them is not.

    \b
    Example:
      genreclf config validate my.toml other.toml
    """
    from genreclf.config.load import load_config

    all_valid = True
    for file in files:
        try:
            load_config(file)
        except ConfigError as error:
            print_error(f"genreclf: {error}")
            all_valid = False
        else:
            say(f"{file}: valid")
    if not all_valid:
        raise click.exceptions.Exit(NOTHING_DONE)
