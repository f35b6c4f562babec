"""Every port in plain memory: for tests, and the model the real adapters are measured by."""
