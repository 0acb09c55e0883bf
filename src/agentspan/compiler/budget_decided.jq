# What was decided about a budget that is used up: more of it (extend), a last answer (finish), or the end (cancel).
. as $in
| ($in.person // {}) as $said
| (if $said.approved == false then {mode: "cancel", decision: {approved: false}}
  elif ($said.extend | type) == "object" then
    {mode: "extend", extend: $said.extend, decision: {approved: true, extended: $said.extend}}
  elif $said.approved == true or $in.deadline == null then {mode: "finish", decision: {approved: true}}
  else {mode: $in.default, decision: {approved: ($in.default == "finish"), overdue: true}} end)
| .waited = (([($in.to // 0) - ($in.from // 0), 0] | max) / 1000)
| .decision += ($said | {by, reason, id} | with_entries(select(.value != null)))
