# What the one is told that makes one answer of all: the prompt, and what was answered, with names.
. as $in
| {prompt: ($in.prompt + ([$in.names | to_entries[] | "\n\n[" + .value + "]: " + words($in.said[.key])] | join("")))}
