"""One file a verb: each does its work and returns a frozen result that ``render`` shows."""
