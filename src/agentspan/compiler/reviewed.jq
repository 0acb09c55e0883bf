# What a person decided about what a guardrail refuses, as the verdict that stands then.
. as $in
| ($in.person // {}) as $said
| (($said.by // "somebody") | tostring) as $who
| (if $said.reason then ": " + ($said.reason | tostring) else "" end) as $why
| (if $said.approved == true then {decision: {approved: true, edited: ($said.args != null)}}
  elif $said.approved == false then {decision: {approved: false}, error: ("rejected by " + $who + $why)}
  elif $in.default == "approve" then {decision: {approved: true, overdue: true}}
  elif $in.deadline == null then {decision: {approved: false}, error: "rejected by somebody who said nothing"}
  else {decision: {approved: false, overdue: true}, error: ("nobody decided within " + ($in.deadline | tostring) + " s")} end)
| ($in.args + ($said.args // {}) | .[$in.what]) as $value
| if .decision.approved then {mode: "done", value: $value, decision}
  elif $in.final then {mode: "refused", refused: ($in.asks[0] + {message: .error}), decision}
  else {mode: "again", said: $in.said, problems: [.error], again: $in.again, note: ($in.note + "\n- " + .error), decision} end
| .decision += ($said | {by, reason, id} | with_entries(select(.value != null)))
