# What the next member is told: the prompt, and what was answered before.
{prompt: (.prompt + "\n\nPrevious agent output:\n" + words(.said))}
