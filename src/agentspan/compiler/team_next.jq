# Whose turn it is, and what that one is told: the prompt, and all that was said. What is drawn comes from the run's id.
. as $in
| ($in.before // []) as $said
| ($said | length) as $turn
| ($in.names | length) as $many
| ($in.execution_id | explode | map(if . < 58 then . - 48 else . - 87 end)) as $dice
| {turn: ($turn + 1),
   name: $in.names[(if $in.how == "random" then ($dice[($turn * 2) % 36] * 16 + $dice[($turn * 2 + 1) % 36] + 96)
                    else $turn end) % $many],
   prompt: ($in.prompt + ([$said[] | "\n\n[" + .name + "]: " + .text] | join("")))}
