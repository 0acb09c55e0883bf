# Of a member of a team with a budget: what those before it have used counts beside its own.
(.after // ([.handed] | flatten | map(select(. != null)) | .[0]) // {}) as $after
| ($after.before.base // {}) as $base
| {usage: (reduce (([$after.usage] | flatten | map(select(. != null and . != {})) | .[0] // {}), ($base.usage // {})
      | to_entries[] | select(.value | type == "number")) as $each
    ({}; .[$each.key] = ((.[$each.key] // 0) + $each.value))),
   steps: (($after.step // 0) + ($base.steps // 0))} as $all
| .base = (if .after == null then $all else $base end)
| .after = ($after + {usage: $all.usage}
    + (if $after.step == null then {} else {step: $all.steps} end)
    + (if .after == null then {prompt: 0} else {} end))
