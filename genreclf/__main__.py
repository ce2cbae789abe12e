"""The ``genreclf`` command; also ``python -m genreclf``."""

from genreclf.cli import cli


def main() -> None:
    """Run the command line."""
    cli()


if __name__ == "__main__":
    main()
