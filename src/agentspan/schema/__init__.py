"""What a model may pass and what a tool may give: types as JSON Schema, values as JSON that Conductor carries."""
