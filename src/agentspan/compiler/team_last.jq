# The answer of a team whose members took turns: the last one.
. as $in
| $in.said as $all
| {answers: ([$all[] | {key: .name, value: answer($in.outputs[.name])}] | from_entries), usage: used($all),
   steps: ([$all[].steps] | add), result: answer($in.outputs[$all[-1].name]),
   finish_reason: $all[-1].finish_reason}
