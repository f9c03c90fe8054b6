"""Casemate, the AI factory for networks that never touch the Internet."""

__version__ = "0.1.0"
