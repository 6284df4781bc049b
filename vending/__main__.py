"""Entry point of the command line `vending`."""

import sys

from vending.cli.main import run


def main() -> None:
    """Run the command line and exit: 0 when it did what was asked, else 1."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
