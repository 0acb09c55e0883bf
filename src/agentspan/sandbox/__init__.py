"""Commands and code of a model: run in a process of their own, under limits, or in a container."""
