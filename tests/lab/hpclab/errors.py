class LabError(Exception):
    """Says what failed, on which host, and what to do."""
