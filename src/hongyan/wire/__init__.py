"""Bytes to frames and back, sans-IO: no socket, no clock, no task."""
