"""The Python SDK of hongyan."""
