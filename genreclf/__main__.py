"""The ``genreclf`` command; also ``python -m genreclf``."""


def main() -> None:
    """Run the command line."""
    from genreclf.cli import cli  # worker processes import this module, and need none of it

    cli()


if __name__ == "__main__":
    main()
