"""Reading a run from what is stored: events, steps, status, result."""
