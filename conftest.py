"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# No deadline: a busy machine must not fail a property. CI tries the same examples each time;
# everywhere else new ones are tried, and a failure prints how to see it again.
settings.register_profile(
    "hongyan",
    settings.get_profile("ci" if os.environ.get("CI") else "default"),
    deadline=None,
    print_blob=True,
)
settings.load_profile("hongyan")
