"""What pytest loads wherever agentspan is installed: the fixtures, if the extra `testing` is there, and else nothing.

Without the extra the fixtures cannot be imported, and pytest would end before it has run anybody's tests.
"""

from __future__ import annotations

from importlib.util import find_spec

_BROUGHT_BY_THE_EXTRA = ("platformdirs", "psutil", "pytest_docker")

if all(find_spec(name) is not None for name in _BROUGHT_BY_THE_EXTRA):
    pytest_plugins = ["agentspan.testing.plugin"]
