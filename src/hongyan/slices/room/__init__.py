"""Live rooms: danmaku, likes, gifts, and those who keep order."""
