"""The model providers Conductor can call, under the names its own `llmProvider` field takes.

Taken from Conductor 3.32.1: each `AIModel.getModelProvider()` and its aliases, less those that
cannot chat; the variables are those of the server's `application.properties`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

PROVIDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "openai": ("OPENAI_API_KEY",),
        "anthropic": ("ANTHROPIC_API_KEY",),
        "google_gemini": ("GEMINI_API_KEY",),
        "vertex_ai": ("GOOGLE_CLOUD_PROJECT",),
        "azure_openai": ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_DEPLOYMENT"),
        "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        "mistral": ("MISTRAL_API_KEY",),
        "cohere": ("COHERE_API_KEY",),
        "Grok": ("XAI_API_KEY",),
        "perplexity": ("PERPLEXITY_API_KEY",),
        "huggingface": ("HUGGINGFACE_API_KEY",),
        # Not in application.properties; these are what Spring binds conductor.ai.litellm.* to.
        "litellm": ("CONDUCTOR_AI_LITELLM_BASEURL", "CONDUCTOR_AI_LITELLM_APIKEY"),
        "ollama": (),  # OLLAMA_HOST is optional: http://localhost:11434
    }
)
"""Provider → the environment variables that must be set where the Conductor *server* runs."""

ONLY_IN_WORKERS = (
    *("alibaba", "cerebras", "deepseek", "fireworks", "groq", "heroku", "moonshotai", "nebius", "openrouter"),
    *("ovhcloud", "sambanova", "together", "vercel"),
)
"""Providers that Conductor does not know, and the library that workers call models with does."""

_ALIASES = {
    "azure": "azure_openai",
    "gemini": "google_gemini",
    "google": "google_gemini",
    "vertex": "vertex_ai",
    "xai": "Grok",
}
_BY_LOWER_NAME = {name.lower(): name for name in PROVIDERS} | _ALIASES


def key_hint(provider: str) -> str:
    """What to do when the server cannot call a provider."""
    names = " and ".join(PROVIDERS.get(provider, ())) or "its settings"
    return f"Set {names} in the environment of the Conductor server, and restart it."


def find_provider(name: str) -> str | None:
    """Conductor's spelling of a provider's name (`grok` and `xai` are its `Grok`), or None."""
    return _BY_LOWER_NAME.get(name.lower())


def is_provider(name: str) -> bool:
    """Whether Conductor or a worker knows a provider of that name."""
    return find_provider(name) is not None or name in ONLY_IN_WORKERS


def suggest_provider(name: str) -> str:
    """What to tell somebody who wrote a provider that does not exist."""
    close = difflib.get_close_matches(name.lower(), (*_BY_LOWER_NAME, *ONLY_IN_WORKERS), n=1)
    guess = f"did you mean {_BY_LOWER_NAME.get(close[0], close[0])!r}? " if close else ""
    return f"{guess}Conductor knows {', '.join(PROVIDERS)}; a worker also {', '.join(ONLY_IN_WORKERS)}"
