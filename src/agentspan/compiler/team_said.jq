# What was said so far, and whether it goes on.
. as $in
| $in.outputs[$in.member] as $said
| (($in.before // []) + [{name: $in.member, text: words($said), result: answer($said), usage: ($said.usage // {}),
                          steps: ($said.steps // 0), finish_reason: $said.finish_reason}]) as $all
| {said: $all, last: $all[-1].text,
   going: (($all | length) < $in.most and (if $in.until == null then true else ($all[-1].text | contains($in.until) | not) end))}
