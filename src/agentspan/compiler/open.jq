# The first transcript of a segment: what an earlier segment left, or the conversation so far and the prompt.
if .transcript != null then .transcript
else ((.history // []) + [{role: "user", message: .prompt}]) as $messages
  | {messages: $messages, pinned: ($messages | length), size: ($messages | tojson | length), dropped: 0}
end
