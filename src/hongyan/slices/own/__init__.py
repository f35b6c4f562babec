"""A user's own log: block list and settings that all devices of the user share."""
