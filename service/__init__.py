"""What Kaoping does: one module per noun with its use-cases, and the parts that all of them share."""

__version__ = "0.1.0"
