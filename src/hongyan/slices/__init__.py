"""Scenarios: one small folder of pure rules each."""
