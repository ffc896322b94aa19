"""Trains a small network at every setting of a grid: ``sweep``."""
