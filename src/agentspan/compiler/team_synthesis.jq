# The answer that was made of all, and what the members answered; used were the tokens of all.
. as $in
| {answers: ([$in.names | to_entries[] | {key: .value, value: answer($in.said[.key])}] | from_entries),
   usage: used([$in.said[], $in.synthesis]),
   steps: ([$in.said[], $in.synthesis] | map(.steps // 0) | add),
   result: answer($in.synthesis), finish_reason: $in.synthesis.finish_reason}
