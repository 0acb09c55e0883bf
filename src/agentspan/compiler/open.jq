# The first transcript of a segment: what an earlier segment left, or the conversation so far and the prompt.
# Conductor stores a character beyond U+FFFF in 12 bytes instead of 4: `stored` is never less than it takes.
def measure: tojson | utf8bytelength as $n | {bytes: $n, stored: ($n + ($n - length) * 8 / 3)};
if .transcript != null then .transcript
else ((.history // []) + [{role: "user", message: .prompt}]) as $messages
  | ($messages | measure) as $size
  | {messages: $messages, pinned: ($messages | length), base: $size, size: $size, dropped: 0}
end
