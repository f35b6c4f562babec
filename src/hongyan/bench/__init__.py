"""Load from outside the server: open loop, own process, delivered over expected beside every rate.

A bench starts a real server process on its own core, unless it is given one, and drives it from
another core. Times count from the moment at which a message was *due*, not from when the
generator got round to it, so a slow server cannot hide behind a slow generator.
"""
