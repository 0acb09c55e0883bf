"""What users call: a runtime, a handle of a run, its events."""
