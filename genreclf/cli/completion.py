"""``genreclf completion``: completion of commands, options and their values in a shell."""

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that lets a SHELL complete commands, options and their values.

    Save it where the shell looks for completions; it works in every shell opened after that. bash
    needs version 4.4 or later, with bash-completion. For the current bash only:
    source <(genreclf completion bash)

    \b
    Examples:
      genreclf completion bash > ~/.local/share/bash-completion/completions/genreclf
      genreclf completion zsh > "${fpath[1]}/_genreclf"
      genreclf completion fish > ~/.config/fish/completions/genreclf.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None  # noqa: S101  for mypy: click knows the three
    root = click.get_current_context().find_root().command
    made = completer(root, {}, "genreclf", "_GENRECLF_COMPLETE")
    # Not source(), which runs bash to find its version.
    click.echo(made.source_template % made.source_vars())
