"""Live logs: what passes and is not kept, and newest values. Many watch, few are members."""
