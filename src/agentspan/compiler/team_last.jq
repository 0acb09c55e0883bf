# The answer of a team whose members took turns: the last one.
.said as $all
| {answers: ([$all[] | {key: .name, value: .result}] | from_entries), usage: used($all),
   steps: ([$all[].steps] | add), result: $all[-1].result, finish_reason: $all[-1].finish_reason}
