"""Chat: direct conversations and groups, as pure rules."""
