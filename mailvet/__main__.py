"""`python -m mailvet` is the command `mailvet`."""

from mailvet.cli import main

main()
