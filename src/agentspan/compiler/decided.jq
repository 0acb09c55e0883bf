# What became of a call that needs a person: it is made (run), with which arguments; it is not, and why (refuse); or it
# was a question, and this is the answer (answered).
. as $in
| ($in.check // {}) as $check
| ($in.person // {}) as $said
| (($said.by // "somebody") | tostring) as $who
| (if $said.reason then ": " + ($said.reason | tostring) else "" end) as $why
| ("Nobody decided within " + ($in.deadline | tostring) + " s") as $late
| if $check.mode == "refuse" then {mode: "refuse", error: $check.error}
  elif $check.mode == "run" then {mode: "run", args: $in.args}
  elif $in.kind == "question" then
    (if ($said | has("answer")) then {mode: "answered", result: $said.answer, decision: {approved: true}}
     elif $said.approved == false then {mode: "refuse", error: ("Not answered by " + $who + $why), decision: {approved: false}}
     elif $in.default != null then {mode: "answered", result: $in.default, decision: {approved: true, overdue: true}}
     else {mode: "refuse", error: ($late + ", so there is no answer."), decision: {approved: false, overdue: true}} end)
  elif ($said | has("approved") | not) then
    (if $in.default == "approve" then {mode: "run", args: $in.args, decision: {approved: true, overdue: true}}
     elif $in.deadline == null then {mode: "refuse", error: "Rejected by somebody who said nothing.", decision: {approved: false}}
     else {mode: "refuse", error: ($late + ": the call is rejected."), decision: {approved: false, overdue: true}} end)
  elif $said.approved == true then
    {mode: "run", args: ($said.args // $in.args), decision: {approved: true, edited: ($said.args != null)}}
  else {mode: "refuse", error: ("Rejected by " + $who + $why), decision: {approved: false}} end
| if .decision then .decision += ($said | {by, reason, id} | with_entries(select(.value != null))) else . end
