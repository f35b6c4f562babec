"""The tenants' own back ends: told by webhooks, asked by hooks, fetching by pulls."""
