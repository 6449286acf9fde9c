"""Lists handed over to the tools that send mail or show advertisements: which rows go, how each tool wants them."""
