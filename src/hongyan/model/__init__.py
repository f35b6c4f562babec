"""The vocabulary: ids, entries, kinds, errors. Imports msgspec and the pure standard library."""
