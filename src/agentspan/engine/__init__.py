"""The one door to Conductor's REST API, and what is read there."""
