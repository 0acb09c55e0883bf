# The answer of a team, and what its members answered and used; those that were not called are passed over. Why it ends
# there is told by who gave the answer; of answers beside each other by the first one that is not whole.
. as $in
| [$in.names | to_entries[] | {name: .value, said: $in.said[.key]}
    | select((.said | type) == "object" and .said.finish_reason != null)] as $all
| {answers: ([$all[] | {key: .name, value: answer(.said)}] | from_entries),
   usage: used([$all[].said, ($in.chosen_by // {})]),
   steps: ([$all[].said.steps // 0] | add),
   result: (if $in.together then ([$all[] | "[" + .name + "]: " + words(.said)] | join("\n\n"))
            else answer($all[-1].said) end),
   finish_reason: (if $in.together then ([$all[].said.finish_reason | select(ascii_downcase | . != "stop" and . != "end_turn")][0] // "stop")
                   else $all[-1].said.finish_reason end)}
