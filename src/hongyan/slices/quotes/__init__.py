"""Boards of quotes: newest values by symbol, and fills."""
