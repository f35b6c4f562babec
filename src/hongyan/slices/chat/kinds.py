"""The kinds `direct` and `group`."""

from __future__ import annotations

from hongyan.model.kind import Kind, SignalRule
from hongyan.slices.chat import rules_govern, rules_join, rules_mark, rules_talk
from hongyan.slices.chat.commands import Typing
from hongyan.slices.chat.guards import DIRECT, GROUP
from hongyan.slices.chat.state import Direct, Group, view_group

SIGNALS = {"typing": SignalRule(Typing, max_members=200)}

DEFAULTS = {
    "recall_ms": 2 * 60_000,  # how long an author may recall
    "edit_ms": 24 * 3_600_000,  # how long an author may edit
    "pins": 50,  # pinned messages of a conversation
    "reactions": 1_000,  # of a message, also those taken away
    "reactions_per_user": 20,  # different ones of a user on a message, also those taken away
    "members_pin": False,  # plain members of a group pin too
    "max_members": 100_000,  # of a group
    "pending": 200,  # who asked to join and waits
    "receipt_names": 100,  # members up to which receipts name people
    "receipt_counts": 5_000,  # members up to which receipts are counted; off above
    "refuse_unwanted": False,  # messages with words of the lists of the tenant
}

_BOTH = {**rules_talk.RULES, **rules_mark.RULES}

DIRECT_KIND = Kind(
    name="direct",
    code=DIRECT,
    state=Direct,
    rules={**rules_join.DIRECT_RULES, **_BOTH},
    signals=SIGNALS,
    defaults=DEFAULTS,
    search_text=rules_talk.search_text,
)

GROUP_KIND = Kind(
    name="group",
    code=GROUP,
    state=Group,
    rules={**rules_join.RULES, **rules_govern.RULES, **_BOTH},
    signals=SIGNALS,
    defaults=DEFAULTS,
    view=view_group,
    search_text=rules_talk.search_text,
)

KINDS = (DIRECT_KIND, GROUP_KIND)
