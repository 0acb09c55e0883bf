# The first transcript of a segment: what an earlier segment left, or the conversation so far and the prompt.
if .transcript != null then .transcript
else ((.history // []) + [{role: "user", message: .prompt}]) as $messages
  | ($messages | tojson | utf8bytelength) as $size
  | {messages: $messages, pinned: ($messages | length), base: $size, size: $size, dropped: 0}
end
