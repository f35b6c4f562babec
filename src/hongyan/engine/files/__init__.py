"""Files: uploads, what becomes of them, who may download them, and what is removed."""
