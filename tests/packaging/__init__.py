"""What is shipped: the wheel, the files of the repository, the weight of an import."""
