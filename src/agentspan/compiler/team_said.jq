# What was said so far, and whether it goes on.
. as $in
| $in.outputs[$in.member] as $said
| (($in.before // []) + [{name: $in.member, text: words($said), result: answer($said), usage: ($said.usage // {}),
                          steps: ($said.steps // 0)}]) as $all
| {said: $all, going: (($all | length) < $in.most)}
