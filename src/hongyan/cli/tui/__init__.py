"""The terminal client. Pure: `words`, `widths`, `thread`, `roll`, `blocks`, `slash`. Textual: the
rest. Only `hongyan chat` imports the latter, when it runs."""
