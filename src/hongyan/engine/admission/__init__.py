"""How much is let in: the line in front of hello, levels of load, quotas of tenants."""
