"""`python -m mailvet` is the command `mailvet`."""

from mailvet.cli.commands import main

main()
