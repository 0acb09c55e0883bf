# Who spoke so far, what the next one is told, and whether it goes on. The loop keeps this of every turn, twice: so what
# was said stands in it once.
. as $in
| $in.outputs[$in.member] as $said
| words($said) as $text
| (($in.before // []) + [{name: $in.member, usage: ($said.usage // {}), steps: ($said.steps // 0),
                          finish_reason: $said.finish_reason}]) as $all
| {said: $all, told: ($in.told + "\n\n[" + $in.member + "]: " + $text), last: $text,
   going: (($all | length) < $in.most and (if $in.until == null then true else ($text | contains($in.until) | not) end))}
