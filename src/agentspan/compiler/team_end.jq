# The answer of a team, and what its members answered and used; those that were not called are passed over.
. as $in
| [$in.names | to_entries[] | {name: .value, said: $in.said[.key]}
    | select((.said | type) == "object" and .said.finish_reason != null)] as $all
| {answers: ([$all[] | {key: .name, value: answer(.said)}] | from_entries),
   usage: used([$all[].said, ($in.chosen_by // {})]),
   steps: ([$all[].said.steps // 0] | add),
   result: (if $in.together then ([$all[] | "[" + .name + "]: " + words(.said)] | join("\n\n"))
            else answer($all[-1].said) end)}
