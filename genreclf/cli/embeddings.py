"""``genreclf embeddings``: get, import, list and check pretrained networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli import options
from genreclf.cli.output import (
    NOTHING_DONE,
    note,
    print_error,
    say,
    stdout_console,
    verbosity_options,
    write_json,
)
from genreclf.cli.streams import write_document
from genreclf.errors import GenreclfError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from genreclf.config.networks import Network


def _complete_network(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem

    from genreclf.config.networks import network_names

    return [CompletionItem(name) for name in network_names() if name.startswith(incomplete)]


@click.group()
def embeddings() -> None:
    """Get, import, list and check pretrained networks.

    In a configuration, a view with embedding = "NAME" uses the outputs of a network as features.
    The files of networks are not part of genreclf. They are kept in the platform's data folder, or
    in the folder that the environment variable GENRECLF_DATA names.

    \b
    Examples:
      genreclf embeddings list
      genreclf embeddings get musicnn
      genreclf embeddings import network.onnx
    """


@embeddings.command()
@click.argument(
    "names", nargs=-1, required=True, metavar="NAME...", shell_complete=_complete_network
)
@verbosity_options
def get(names: tuple[str, ...]) -> None:
    """Fetch networks from the package index with pip.

    This is the only command that downloads anything. pip downloads one version of the package
    musicnn, with a known SHA-256. Only the weights of the network NAME (musicnn or musicnn-mtt) are
    kept. Download other networks yourself from where 'genreclf embeddings show NAME' says,
    and import them.

    \b
    Example:
      genreclf embeddings get musicnn
    """
    from genreclf.embeddings.wheel import get_networks

    _report(get_networks(names))


@embeddings.command("import")
@click.argument("file", type=options.FILE)
@click.option(
    "--description", metavar="NAME|FILE", shell_complete=_complete_network,
    help="Description of an ONNX file: the name of a listed network, or a TOML file.",
)  # fmt: skip
@verbosity_options
def import_network(file: Path, description: str | None) -> None:
    """Import a network from a FILE that you have.

    FILE is an ONNX file, its description (.toml), or the wheel of musicnn 0.1.0 (.whl). An ONNX
    file needs a description: the one that --description names, the TOML file of the same name
    beside it, or that of a network in 'genreclf embeddings list' with this file name. The network
    is tried before it is kept.

    \b
    Examples:
      genreclf embeddings import musicnn-0.1.0-py3-none-any.whl
      genreclf embeddings import my-network.onnx
      genreclf embeddings import cnn14.onnx --description panns
    """
    from genreclf.embeddings.importing import import_file

    _report(import_file(file, description))


def _report(imported: "list[tuple[Network, Path]]") -> None:
    for network, file in imported:
        note(f"network {network.name} written to {file} (licence: {network.terms})")


@embeddings.command("list")
@options.json_file
def list_networks(json_file: Path | None) -> None:
    """List the networks that genreclf knows, and which of them are here.

    \b
    Examples:
      genreclf embeddings list
      genreclf embeddings list --json -
    """
    from genreclf.config.networks import load_network, network_names

    networks = [load_network(name) for name in network_names()]
    if json_file is not None:
        listed = [_as_json(network) for network in networks]
        write_json(json_file, listed, "list")
        return
    from genreclf.reports.inspection import networks_report

    networks_report(networks, stdout_console())


def _as_json(network: "Network") -> dict[str, Any]:
    import msgspec

    from genreclf.embeddings.runner import commands_to_get
    from genreclf.embeddings.store import has_weights, weights_file

    here = has_weights(network)
    return {
        **msgspec.to_builtins(network),
        "sample_rate_hz": network.sample_rate_hz,
        "patch_seconds": network.patch_seconds,
        "path": str(weights_file(network)) if here else None,
        "needs": commands_to_get(network),
    }


@embeddings.command()
@click.argument("network", metavar="NAME|FILE", shell_complete=_complete_network)
@options.json_file
@verbosity_options
def show(network: str, json_file: Path | None) -> None:
    """Print the description of a network, as TOML with all values.

    Standard error says where the network is, or how to get it.

    \b
    Examples:
      genreclf embeddings show musicnn
      genreclf embeddings show discogs-effnet > my-network.toml
    """
    import msgspec
    import tomli_w

    from genreclf.config.networks import load_network
    from genreclf.embeddings.runner import commands_to_get
    from genreclf.embeddings.store import weights_file

    described = load_network(network)
    if json_file is not None:
        write_json(json_file, _as_json(described), "description")
        return
    write_document(tomli_w.dumps(msgspec.to_builtins(described)))
    if commands := commands_to_get(described):
        note(f"to use it: {', then '.join(commands)}")
    else:
        note(f"its file: {weights_file(described)}")


@embeddings.command()
@click.argument("names", nargs=-1, metavar="[NAME...]", shell_complete=_complete_network)
@verbosity_options
def verify(names: tuple[str, ...]) -> None:
    """Check that networks are intact and run.

    Each file must have the SHA-256 of its description, and give what the description says for a few
    seconds of noise. Without NAME, all networks that are here are checked. The exit status is 1 if
    one fails.

    \b
    Examples:
      genreclf embeddings verify
      genreclf embeddings verify musicnn
    """
    from genreclf.config.networks import load_network, network_names
    from genreclf.embeddings.importing import try_network
    from genreclf.embeddings.store import has_weights

    networks = [load_network(name) for name in names or network_names()]
    if not names:
        networks = [network for network in networks if has_weights(network)]
        if not networks:
            note("no network is here; see genreclf embeddings list")
    all_run = True
    for network in networks:
        try:
            try_network(network)
        except GenreclfError as error:
            print_error(f"genreclf: {error}")
            all_run = False
        else:
            say(f"{network.name}: intact, runs")
    if not all_run:
        raise click.exceptions.Exit(NOTHING_DONE)
