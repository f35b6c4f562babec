"""hongyan (鸿雁): one general instant-messaging service that every real-time product shares."""

__version__ = "0.1.0"
