"""A small course to look at."""
