"""`python -m mailvet` is the command `mailvet`."""

from mailvet.cli.commands import main

if __name__ == "__main__":
    main()
