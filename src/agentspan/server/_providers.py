"""What of the caller's environment a server gets to see.

Conductor replaces `${NAME}` in definitions and in some inputs by the environment variable or Java property of
that name, so whatever stands in its environment or on its command line is open to everybody who uses it, a
model included. Keys therefore reach it as settings, in a file that is gone once it has started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_KEYS = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "cohere": "COHERE_API_KEY",
    "grok": "XAI_API_KEY",
    "perplexity": "PERPLEXITY_API_KEY",
    "huggingface": "HUGGINGFACE_API_KEY",
    "stabilityai": "STABILITY_API_KEY",
    "azureopenai": "AZURE_OPENAI_API_KEY",
    "bedrock": "AWS_ACCESS_KEY_ID",
    "ollama": "OLLAMA_HOST",
}
"""Conductor's name of a provider, and the variable whose presence enables it."""

_MORE = (
    "GROK_API_KEY",
    "OPENAI_ORG_ID",
    "AZURE_OPENAI_ENDPOINT",
    "AZURE_OPENAI_DEPLOYMENT",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_BEARER_TOKEN_BEDROCK",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
)
"""Further variables that the settings inside Conductor's jar refer to."""

_BASE_URLS = {"openai": "OPENAI_BASE_URL", "anthropic": "ANTHROPIC_BASE_URL"}
"""Where the providers' own libraries look for another address."""

_NO_KEY = "none"
"""The key for a provider at an address of the caller's choice that asks for none."""

_PASSED_ON = {"PATH", "HOME", "LANG", "TZ", "TMPDIR", "SYSTEMROOT", "USERPROFILE", "TEMP", "TMP"}
"""What Java itself needs. Google's library insists on finding its credentials' path in the environment."""


def scrubbed(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the server's process gets."""
    return {
        name: value
        for name, value in environ.items()
        if name in _PASSED_ON or name.startswith("LC_") or name == "GOOGLE_APPLICATION_CREDENTIALS"
    }


def model_settings(environ: Mapping[str, str], urls: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that enable the model providers.

    Keys stand there under the names they have in the environment: the jar's own settings refer to them so.

    Args:
        environ: The caller's environment.
        urls: Addresses by provider, which win over those in the environment.
    """
    urls = {**dict(_urls_of(environ)), **urls}
    names = (*_KEYS.values(), *_MORE)
    settings = {_KEYS[provider]: _NO_KEY for provider in urls if provider in _KEYS}
    settings |= {name: environ[name] for name in names if environ.get(name)}
    settings |= {f"conductor.ai.{provider}.base-url": url for provider, url in urls.items()}
    return settings


def enabled(settings: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the providers that `settings` enable."""
    return tuple(sorted(provider for provider, name in _KEYS.items() if name in settings))


def _urls_of(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for provider, name in _BASE_URLS.items():
        if environ.get(name):
            yield provider, environ[name]
