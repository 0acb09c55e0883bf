# Whose turn it is, and where that one finds what it is told. What is drawn comes from the run's id.
. as $in
| (($in.before // []) | length) as $turn
| ($in.names | length) as $many
| ($in.execution_id | explode | map(if . < 58 then . - 48 else . - 87 end)) as $dice
| {turn: ($turn + 1),
   told: (if $turn == 0 then "workflow.input.prompt" else "said.output.result.told" end),
   name: $in.names[(if $in.how == "random" then ($dice[($turn * 2) % 36] * 16 + $dice[($turn * 2 + 1) % 36] + 96)
                    else $turn end) % $many]}
